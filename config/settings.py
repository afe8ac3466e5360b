"""The one settings file. Everything that differs between installations comes from the environment."""

import os
import secrets
import tempfile
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import django_stubs_ext
import environ
from csp import constants as csp
from django.core.exceptions import ImproperlyConfigured

django_stubs_ext.monkeypatch()  # typed code says ModelForm[Agent]; Django's own classes do not know how
env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env("COUNTERSIGN_DATA_DIR", default=str(BASE_DIR / "var")))
# It holds sessions, personal links in mail that is not sent yet, and what was asked of people: nobody else's to read.
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
DEBUG = env.bool("COUNTERSIGN_DEBUG", default=False)
EMBEDDED = "DATABASE_URL" not in os.environ


def secret_key() -> str:
    """The key that signs sessions and binds approvals: from the environment, or, embedded, from a file made once."""
    if key := env.str("COUNTERSIGN_SECRET_KEY", default=""):
        return str(key)
    if not EMBEDDED:
        raise ImproperlyConfigured("Set COUNTERSIGN_SECRET_KEY to at least 50 random characters.")
    path = DATA_DIR / "secret.key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(64))
    return path.read_text().strip()


SECRET_KEY = secret_key()
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("COUNTERSIGN_SECRET_KEY has fewer than 50 characters; make a longer one.")

# Keys that must not stand in the database, and what the publisher remembers of every log. Put it on another volume than
# the database, and in another backup: whoever can bring back an old database must not bring back this too.
KEYS_DIR = Path(env("COUNTERSIGN_KEYS_DIR", default=str(DATA_DIR / "keys")))

PUBLIC_URL = env("COUNTERSIGN_PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
public = urlsplit(PUBLIC_URL)
if public.scheme not in ("http", "https") or not public.hostname:
    raise ImproperlyConfigured("COUNTERSIGN_PUBLIC_URL must be an absolute http or https address.")
ALLOWED_HOSTS = [public.hostname, *env.list("COUNTERSIGN_ALLOWED_HOSTS", default=[])]
CSRF_TRUSTED_ORIGINS = [f"{public.scheme}://{public.netloc}"]

if public.scheme == "https":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = public.scheme == "https"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# A page runs our scripts and nothing else. eval, because Alpine, which moves unfold's menus, compiles its attributes;
# style attributes, because those menus set some. Neither lets text that somebody typed become a script.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [csp.NONE],
        "script-src": [csp.SELF, csp.UNSAFE_EVAL],
        "style-src": [csp.SELF],
        "style-src-attr": [csp.UNSAFE_INLINE],
        "img-src": [csp.SELF, "data:"],
        "font-src": [csp.SELF],
        "connect-src": [csp.SELF, f"{'wss' if public.scheme == 'https' else 'ws'}://{public.netloc}"],
        "form-action": [csp.SELF],
        "base-uri": [csp.NONE],
        "frame-ancestors": [csp.NONE],
    }
}

# Order matters: viewflow's and Django's own admin pages are replaced by governance and workspaces. Neither daphne nor
# channels is here: both serve without, and a gate alone need not load them.
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # its look; the site is ours
    "config.apps.PortalConfig",  # the admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "allauth.account",  # its tables stay empty: our person is the account, whose address is known
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "guardian",
    "viewflow.workflow",
    "audit",
    "workspaces",
    "billing",
    "governance",
    "gate",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.headers.PermissionsPolicy",
    "config.outages.Unavailable",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it answers for the sign-in page when there were too many failures
]
ROOT_URLCONF = "config.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

if EMBEDDED:
    DATABASES = {
        "default": {
            "ENGINE": "audit.sqlite",
            "NAME": env("COUNTERSIGN_SQLITE", default=str(DATA_DIR / "countersign.sqlite3")),
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
            # A file, not memory: threads are connections of their own. One a process: runs do not meet.
            "TEST": {"NAME": str(Path(tempfile.gettempdir()) / f"countersign-test-{os.getpid()}.sqlite3")},
        }
    }
else:
    DATABASES = {"default": env.db("DATABASE_URL")}
    if DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database; without it SQLite is used.")
    DATABASES["default"].setdefault("OPTIONS", {})["options"] = "-c lock_timeout=4500"
    DATABASES["default"]["CONN_MAX_AGE"] = None
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "workspaces.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: refuses before a password is looked at
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None
GUARDIAN_MONKEY_PATCH_USER = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# How many proxies stand before the portal and add to X-Forwarded-For; none is believed unless it is counted here.
PROXIES = env.int("COUNTERSIGN_PROXIES", default=0)
AXES_HANDLER = "workspaces.signin.Guard"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "username"]
AXES_FAILURE_LIMIT = 5  # on the scale of workspaces.signin.FOR_PAIR
AXES_COOLOFF_TIME = timedelta(hours=1)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # or strangers could keep somebody out for ever
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_FORM_FIELD = "username"
AXES_USERNAME_CALLABLE = "workspaces.signin.masked"
AXES_CLIENT_IP_CALLABLE = "workspaces.signin.address_of"
AXES_LOCKOUT_CALLABLE = "workspaces.signin.locked_out"
AXES_SENSITIVE_PARAMETERS = ["username", "csrfmiddlewaretoken", "next"]
AXES_DISABLE_ACCESS_LOG = True  # the installation's log has it
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# Of django-allauth: second factors, and sign-in at an OpenID provider. Its own pages have no address here.
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
MFA_TOTP_ISSUER = "Countersign"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
# How long somebody counts as who they are after a second factor: to approve what is risky, to change their factors.
CONFIRM_FOR = timedelta(minutes=env.float("COUNTERSIGN_CONFIRM_MINUTES", default=10))
# An OpenID provider at which people may sign in who are here already, recognized by a verified address: its address,
# what it knows us by, how the sign-in page calls it, and which words of its amr or acr count as a second factor (none).
SOCIALACCOUNT_ADAPTER = "workspaces.sso.Doors"
OIDC_URL = env("COUNTERSIGN_OIDC_URL", default="")
OIDC_CLIENT = env("COUNTERSIGN_OIDC_CLIENT", default="")
OIDC_SECRET = env("COUNTERSIGN_OIDC_SECRET", default="")
OIDC_NAME = env("COUNTERSIGN_OIDC_NAME", default="your organization")
OIDC_FACTORS = env.list("COUNTERSIGN_OIDC_FACTORS", default=[])
if OIDC_URL and not OIDC_URL.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
    raise ImproperlyConfigured("COUNTERSIGN_OIDC_URL must be an https address: what it says is believed.")
if OIDC_URL and not OIDC_CLIENT:
    raise ImproperlyConfigured(
        "COUNTERSIGN_OIDC_URL needs COUNTERSIGN_OIDC_CLIENT, as the provider knows us."
    )
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = ["config.formats"]  # times as 2026-03-01 14:05, which everybody reads alike

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = True
WHITENOISE_MANIFEST_STRICT = False

DEFAULT_FROM_EMAIL = env("COUNTERSIGN_MAIL_FROM", default=f"countersign@{public.hostname}")
if mail := env("COUNTERSIGN_SMTP_URL", default=""):
    vars().update(env.email_url_config(mail))
    EMAIL_TIMEOUT = 10
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = DATA_DIR / "outbox"

UNFOLD = {
    "SITE_TITLE": "Countersign",
    "SITE_HEADER": "Countersign",
    "SITE_SYMBOL": "approval",
    "SITE_URL": None,  # there is no other site to return to
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": ["governance.admin.desk.colors", "governance.admin.desk.styles"],
    "SCRIPTS": ["governance.admin.desk.script"],
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "governance.admin.desk.icon"}],
    "GLOBAL_CALLBACK": "governance.admin.desk.everywhere",
    "DASHBOARD_CALLBACK": "governance.admin.desk.fill",
    "COMMAND": {"search_models": True, "show_history": False},
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "show_all_applications": False,
        "navigation": "governance.admin.desk.navigation",
    },
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "workspaces.api.authentication.PersonTokens",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "workspaces.api.authentication.WithinScope",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["audit.api.bodies.StrictJson"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "audit.api.bodies.AlwaysJson",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_PAGINATION_CLASS": "audit.api.pages.Pages",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "audit.api.schema.PortalSchema",
    "EXCEPTION_HANDLER": "audit.api.problems.problem",
    "COERCE_DECIMAL_TO_STRING": True,
}
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer"}
KNOX_TOKEN_MODEL = "workspaces.ApiToken"  # noqa: S105 - a model's name
MIGRATION_MODULES = {"knox": None}  # its own table is replaced by ours
SPECTACULAR_SETTINGS = {
    "TITLE": "Countersign",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "SORT_OPERATIONS": False,
    "ENUM_NAME_OVERRIDES": {
        "PersonRole": "workspaces.models.Membership.Role",
        "Risk": "workspaces.models.RISKS",
        "StandingName": "workspaces.models.Standing",
        "PolicyStatus": "governance.models.PolicyVersion.Status",
        "ApprovalStatus": "governance.api.approvals.WORDS",
        "ProposalKind": "governance.models.Proposal.Kind",
        "ProposalStatus": "governance.models.Proposal.Status",
        "ExportFormat": "audit.models.Export.Kind",
        "ExportStatus": "audit.models.Export.Status",
        "StreamFormat": "audit.models.Stream.Format",
        "StreamSink": "audit.models.Stream.Kind",
        "BudgetScope": "billing.models.Budget.Scope",
        "BudgetWindow": "billing.models.Budget.Window",
        "TokenScope": "workspaces.models.ApiToken.Scope",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.openapi.complete",
    ],
}

# Which log ids, and which agents in them, a person may read: answered by the app that knows people.
AUDIT_READERS = "workspaces.access.readable"
AUDIT_OPERATORS = "workspaces.access.operates"  # and whether they may read the installation's own log

# Who confirms checkpoints from outside: a trust policy that names witnesses with their addresses, and how many it
# takes; a time stamp authority (RFC 3161), and the minutes between two questions to it.
WITNESS_POLICY = env("COUNTERSIGN_WITNESS_POLICY", default="")
TIMESTAMP_URL = env("COUNTERSIGN_TIMESTAMP_URL", default="")
TIMESTAMP_INTERVAL = timedelta(minutes=env.float("COUNTERSIGN_TIMESTAMP_INTERVAL", default=60))

# Streams of the log: hosts of one's own network to which webhooks may go, and the folder for files.
STREAM_ALLOW = env.list("COUNTERSIGN_STREAM_ALLOW", default=[])
STREAM_FOLDER = env("COUNTERSIGN_STREAM_FOLDER", default="")

# The gate: seconds a caller may wait for an answer, checks a second and burst allowed per key.
GATE_DEADLINE = env.float("COUNTERSIGN_GATE_DEADLINE", default=4.5)
GATE_RATE = env.float("COUNTERSIGN_GATE_RATE", default=500)
GATE_BURST = env.int("COUNTERSIGN_GATE_BURST", default=1000)
GATE_COMMITTERS = 1 if EMBEDDED else env.int("COUNTERSIGN_GATE_COMMITTERS", default=4)
GATE_BATCH = env.int("COUNTERSIGN_GATE_BATCH", default=256)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    # Refusals are answers, not warnings; and their paths can hold a personal link.
    "loggers": {"django.request": {"level": "ERROR"}, "axes": {"level": "ERROR"}},
    "root": {"handlers": ["stderr"], "level": env("COUNTERSIGN_LOG_LEVEL", default="WARNING")},
}
