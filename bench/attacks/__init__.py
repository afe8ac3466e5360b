"""What an administrator of the database can do to the log, what finds it, and what that needs."""
