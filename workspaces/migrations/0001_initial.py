import functools

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import workspaces.identifiers


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("audit", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="AgentKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        default=functools.partial(workspaces.identifiers.public_id, *("key",)),
                        editable=False,
                        max_length=40,
                        unique=True,
                    ),
                ),
                ("prefix", models.CharField(max_length=8, unique=True)),
                ("digest", models.BinaryField()),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Resource",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        default=functools.partial(workspaces.identifiers.public_id, *("res",)),
                        editable=False,
                        max_length=40,
                        unique=True,
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("pattern", models.CharField(max_length=1000)),
                ("labels", models.JSONField(blank=True, default=list)),
            ],
            options={
                "permissions": [
                    ("read", "Read the resource"),
                    ("write", "Write the resource"),
                    ("delete", "Delete the resource"),
                    ("execute", "Execute the resource"),
                    ("send", "Send the resource"),
                    ("spend", "Spend the resource"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReviewerGroup",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.SlugField(max_length=100)),
            ],
        ),
        migrations.CreateModel(
            name="Tool",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        default=functools.partial(workspaces.identifiers.public_id, *("tool",)),
                        editable=False,
                        max_length=40,
                        unique=True,
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("read", "read"),
                            ("write", "write"),
                            ("delete", "delete"),
                            ("execute", "execute"),
                            ("send", "send"),
                            ("spend", "spend"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "risk",
                    models.CharField(
                        choices=[
                            ("low", "low"),
                            ("medium", "medium"),
                            ("high", "high"),
                            ("critical", "critical"),
                        ],
                        default="low",
                        max_length=10,
                    ),
                ),
                ("reversible", models.BooleanField(default=True)),
                ("labels", models.JSONField(blank=True, default=list)),
                (
                    "schema",
                    models.JSONField(
                        blank=True, help_text="JSON Schema 2020-12 of the arguments.", null=True
                    ),
                ),
                (
                    "templates",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text='How resources are found: [{"template": …, "action": …}].',
                    ),
                ),
                ("default_scheme", models.CharField(blank=True, max_length=20)),
                (
                    "sensitive",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="JSON pointers to arguments that are never stored in clear.",
                    ),
                ),
                (
                    "cost_nanos",
                    models.BigIntegerField(
                        blank=True, help_text="Declared cost of a call, nano-US-dollars.", null=True
                    ),
                ),
                (
                    "trust_reports",
                    models.BooleanField(default=False, help_text="A reported cost may lower a charge."),
                ),
            ],
            options={
                "permissions": [("use", "Use the tool")],
            },
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        default=functools.partial(workspaces.identifiers.public_id, *("usr",)),
                        editable=False,
                        max_length=40,
                        unique=True,
                    ),
                ),
                ("email", models.EmailField(max_length=254, unique=True)),
                ("name", models.CharField(blank=True, max_length=200)),
                ("is_active", models.BooleanField(default=True)),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ActsFor",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "person acted for",
                "verbose_name_plural": "people acted for",
            },
        ),
        migrations.CreateModel(
            name="Agent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        default=functools.partial(workspaces.identifiers.public_id, *("agt",)),
                        editable=False,
                        max_length=40,
                        unique=True,
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("purpose", models.CharField(blank=True, max_length=500)),
                ("labels", models.JSONField(blank=True, default=list)),
                (
                    "risk_tier",
                    models.CharField(
                        choices=[
                            ("low", "low"),
                            ("medium", "medium"),
                            ("high", "high"),
                            ("critical", "critical"),
                        ],
                        default="low",
                        max_length=10,
                    ),
                ),
                (
                    "isolated_runs",
                    models.BooleanField(
                        default=False, help_text="Labels of one session do not follow into the next."
                    ),
                ),
                (
                    "standing",
                    models.CharField(
                        choices=[
                            ("observe", "Observe: judged and recorded, not enforced"),
                            ("active", "Active"),
                            ("supervised", "Supervised: everything but reads needs approval"),
                            ("read_only", "Read only"),
                            ("suspended", "Suspended"),
                            ("revoked", "Revoked for good"),
                        ],
                        default="active",
                        max_length=12,
                    ),
                ),
                ("standing_reason", models.CharField(blank=True, max_length=500)),
                ("observe_until", models.DateTimeField(blank=True, null=True)),
                (
                    "epoch",
                    models.PositiveIntegerField(default=0, help_text="Bumped by each containment step."),
                ),
                ("sessions_per_hour", models.PositiveIntegerField(blank=True, null=True)),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "acts_for",
                    models.ManyToManyField(
                        related_name="+", through="workspaces.ActsFor", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "group",
                    models.OneToOneField(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="agent",
                        to="auth.group",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="agents",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="actsfor",
            name="agent",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="principals", to="workspaces.agent"
            ),
        ),
        migrations.CreateModel(
            name="KeyUse",
            fields=[
                (
                    "key",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="use",
                        serialize=False,
                        to="workspaces.agentkey",
                    ),
                ),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name="agentkey",
            name="agent",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="keys", to="workspaces.agent"
            ),
        ),
        migrations.AddField(
            model_name="agentkey",
            name="created_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.CreateModel(
            name="Installation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "standing",
                    models.CharField(
                        choices=[
                            ("observe", "Observe: judged and recorded, not enforced"),
                            ("active", "Active"),
                            ("supervised", "Supervised: everything but reads needs approval"),
                            ("read_only", "Read only"),
                            ("suspended", "Suspended"),
                            ("revoked", "Revoked for good"),
                        ],
                        default="active",
                        max_length=12,
                    ),
                ),
                ("standing_reason", models.CharField(blank=True, max_length=500)),
                ("observe_until", models.DateTimeField(blank=True, null=True)),
                ("log", models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, to="audit.log")),
            ],
        ),
        migrations.CreateModel(
            name="ResourceGrant",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "content_object",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="workspaces.resource",
                    ),
                ),
                ("group", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="auth.group")),
                (
                    "permission",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="auth.permission"),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ReviewerGroupMember",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="reviewer_groups",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "reviewer_group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="members",
                        to="workspaces.reviewergroup",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Role",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                (
                    "group",
                    models.OneToOneField(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="role",
                        to="auth.group",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AgentRole",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="agent_roles",
                        to="workspaces.agent",
                    ),
                ),
                (
                    "role",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="agent_roles",
                        to="workspaces.role",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SigninLink",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.BinaryField(unique=True)),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="signin_links",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ToolGrant",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "content_object",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="workspaces.tool",
                    ),
                ),
                ("group", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="auth.group")),
                (
                    "permission",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="auth.permission"),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Workspace",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        default=functools.partial(workspaces.identifiers.public_id, *("ws",)),
                        editable=False,
                        max_length=40,
                        unique=True,
                    ),
                ),
                ("slug", models.SlugField(unique=True)),
                ("name", models.CharField(max_length=200)),
                ("timezone", models.CharField(default="UTC", max_length=64)),
                (
                    "two_people",
                    models.BooleanField(
                        default=False,
                        help_text="Policies and looser tools take effect when a second person publishes them.",
                    ),
                ),
                (
                    "standing",
                    models.CharField(
                        choices=[
                            ("observe", "Observe: judged and recorded, not enforced"),
                            ("active", "Active"),
                            ("supervised", "Supervised: everything but reads needs approval"),
                            ("read_only", "Read only"),
                            ("suspended", "Suspended"),
                            ("revoked", "Revoked for good"),
                        ],
                        default="active",
                        max_length=12,
                    ),
                ),
                ("standing_reason", models.CharField(blank=True, max_length=500)),
                ("observe_until", models.DateTimeField(blank=True, null=True)),
                (
                    "epoch",
                    models.PositiveIntegerField(default=0, help_text="Bumped by each containment step."),
                ),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "log",
                    models.OneToOneField(
                        editable=False, on_delete=django.db.models.deletion.PROTECT, to="audit.log"
                    ),
                ),
            ],
            options={
                "permissions": [
                    ("view_content", "See arguments and messages"),
                    ("view_content_own_agents", "See arguments and messages of own agents"),
                    ("decide", "Decide approvals"),
                    ("tighten", "Tighten containment"),
                    ("tighten_own_agents", "Tighten containment of own agents"),
                    ("loosen", "Loosen containment"),
                    ("manage_agents", "Manage agents"),
                    ("manage_tools", "Manage tools and resources"),
                    ("draft_policy", "Draft policies"),
                    ("publish_policy", "Publish policies"),
                    ("manage_members", "Manage members"),
                    ("manage_budgets", "Manage budgets"),
                    ("view_log", "Read the log"),
                    ("export_log", "Export the log"),
                    ("legal_hold", "Put data on legal hold"),
                    ("erase", "Erase personal data"),
                ],
            },
        ),
        migrations.AddField(
            model_name="tool",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="tools", to="workspaces.workspace"
            ),
        ),
        migrations.AddField(
            model_name="role",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="roles", to="workspaces.workspace"
            ),
        ),
        migrations.AddField(
            model_name="reviewergroup",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="reviewer_groups",
                to="workspaces.workspace",
            ),
        ),
        migrations.AddField(
            model_name="resource",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="resources",
                to="workspaces.workspace",
            ),
        ),
        migrations.CreateModel(
            name="NamedList",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("members", models.JSONField(default=list)),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lists",
                        to="workspaces.workspace",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("owner", "Owner"),
                            ("compliance_officer", "Compliance officer"),
                            ("approver", "Approver"),
                            ("operator", "Operator"),
                            ("developer", "Developer"),
                            ("auditor", "Auditor"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="workspaces.workspace",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="agent",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="agents", to="workspaces.workspace"
            ),
        ),
        migrations.CreateModel(
            name="WorkspacePermission",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "content_object",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="workspaces.workspace"),
                ),
                (
                    "permission",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="auth.permission"),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.AddConstraint(
            model_name="actsfor",
            constraint=models.UniqueConstraint(fields=("agent", "person"), name="one_acts_for_per_person"),
        ),
        migrations.AlterUniqueTogether(
            name="resourcegrant",
            unique_together={("group", "permission", "content_object")},
        ),
        migrations.AddConstraint(
            model_name="reviewergroupmember",
            constraint=models.UniqueConstraint(
                fields=("reviewer_group", "person"), name="one_seat_per_reviewer"
            ),
        ),
        migrations.AddConstraint(
            model_name="agentrole",
            constraint=models.UniqueConstraint(fields=("agent", "role"), name="one_agent_role"),
        ),
        migrations.AlterUniqueTogether(
            name="toolgrant",
            unique_together={("group", "permission", "content_object")},
        ),
        migrations.AddConstraint(
            model_name="tool",
            constraint=models.UniqueConstraint(fields=("workspace", "name"), name="one_tool_per_name"),
        ),
        migrations.AddConstraint(
            model_name="role",
            constraint=models.UniqueConstraint(fields=("workspace", "name"), name="one_role_per_name"),
        ),
        migrations.AddConstraint(
            model_name="reviewergroup",
            constraint=models.UniqueConstraint(
                fields=("workspace", "name"), name="one_reviewer_group_per_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="resource",
            constraint=models.UniqueConstraint(fields=("workspace", "name"), name="one_resource_per_name"),
        ),
        migrations.AddConstraint(
            model_name="namedlist",
            constraint=models.UniqueConstraint(fields=("workspace", "name"), name="one_list_per_name"),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(
                fields=("workspace", "person", "role"), name="one_membership_per_role"
            ),
        ),
        migrations.AddConstraint(
            model_name="agent",
            constraint=models.UniqueConstraint(fields=("workspace", "name"), name="one_agent_per_name"),
        ),
        migrations.AlterUniqueTogether(
            name="workspacepermission",
            unique_together={("user", "permission", "content_object")},
        ),
    ]
