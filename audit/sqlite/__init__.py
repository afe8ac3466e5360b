"""The database engine `audit.sqlite`: Django's SQLite backend, with writers in line and full durability."""
