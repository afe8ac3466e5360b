import django.db.models.deletion
import functools
import workspaces.identifiers
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('viewflow', '0015_task_scheduled'),
        ('workspaces', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AgentState',
            fields=[
                ('agent', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='state', serialize=False, to='workspaces.agent')),
                ('seq', models.BigIntegerField(default=0, help_text="Decisions so far; the answer's agent_seq.")),
                ('labels', models.JSONField(default=dict, help_text='Label → when a call that carries it was last allowed.')),
                ('sessions', models.JSONField(default=list, help_text='When sessions were begun in the last hour.')),
            ],
        ),
        migrations.CreateModel(
            name='Counter',
            fields=[
                ('key', models.CharField(help_text='SHA-256 of workspace, rule, measure, scope.', max_length=64, primary_key=True, serialize=False)),
                ('buckets', models.JSONField(default=list, help_text="[[start of bucket, amount], …] in the rule's unit.")),
            ],
        ),
        migrations.CreateModel(
            name='ApprovalProcess',
            fields=[
            ],
            options={
                'proxy': True,
                'default_permissions': ('view', 'manage'),
                'indexes': [],
                'constraints': [],
            },
            bases=('viewflow.process',),
        ),
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.CharField(default=functools.partial(workspaces.identifiers.public_id, *('apr',), **{}), editable=False, max_length=40, unique=True)),
                ('decision', models.CharField(help_text='The pending decision that asked.', max_length=40)),
                ('tool', models.CharField(max_length=200)),
                ('action', models.CharField(max_length=10)),
                ('risk', models.CharField(max_length=10)),
                ('session', models.CharField(blank=True, max_length=200)),
                ('binding', models.CharField(help_text='HMAC of the exact call that is approved.', max_length=64)),
                ('lifts', models.JSONField(help_text='Digests of the rules it lifts, and nothing else.')),
                ('requirements', models.JSONField(help_text='One per matched rule: [{"rule": name, "ask": …, "message": …, "reviewers": [user pk, …], "owner_counts": bool, "quorum": k}, …].')),
                ('epoch', models.BigIntegerField(help_text='Sum of the epochs of agent, workspace; older ones are void.')),
                ('status', models.CharField(choices=[('pending', 'Waiting'), ('approved', 'Approved'), ('rejected', 'Rejected'), ('expired', 'Expired'), ('cancelled', 'Cancelled')], default='pending', max_length=9)),
                ('created', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('used_by', models.CharField(blank=True, help_text='The decision that used it, once.', max_length=40)),
                ('entry_index', models.BigIntegerField(help_text="The pending decision's entry, whose Detail holds the arguments.")),
                ('agent', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='approvals', to='workspaces.agent')),
                ('on_behalf_of', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('process', models.OneToOneField(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='approval', to='viewflow.process')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='approvals', to='workspaces.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='ApprovalLink',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.BinaryField(blank=True, null=True, unique=True)),
                ('code_digest', models.BinaryField(blank=True, null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0, help_text='Wrong codes so far.')),
                ('used_at', models.DateTimeField(blank=True, null=True)),
                ('mailed_at', models.DateTimeField(blank=True, null=True)),
                ('approval', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='links', to='governance.approval')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Call',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('session', models.CharField(blank=True, max_length=200)),
                ('call_id', models.CharField(max_length=200)),
                ('digest', models.BinaryField(help_text='SHA-256 over the canonical tool and arguments.')),
                ('decision', models.CharField(max_length=40)),
                ('approval', models.CharField(blank=True, max_length=40)),
                ('epoch', models.BigIntegerField(help_text='Sum of the epochs that the answer rests on.')),
                ('answer', models.BinaryField(help_text='The answer as it was sent.')),
                ('expires_at', models.DateTimeField()),
                ('agent', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.agent')),
            ],
        ),
        migrations.CreateModel(
            name='Decision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.CharField(editable=False, max_length=40, unique=True)),
                ('outcome', models.CharField(choices=[('open', 'not reported yet'), ('running', 'Running'), ('succeeded', 'Succeeded'), ('failed', 'Failed'), ('skipped', 'Skipped'), ('unreported', 'never reported: counts as done')], default='open', max_length=10)),
                ('tool', models.CharField(max_length=200)),
                ('session', models.CharField(blank=True, max_length=200)),
                ('trusts_reports', models.BooleanField(default=False)),
                ('entry_index', models.BigIntegerField()),
                ('created', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('lease_until', models.DateTimeField()),
                ('agent', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='decisions', to='workspaces.agent')),
                ('workspace', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='decisions', to='workspaces.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='Idempotency',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('route', models.CharField(max_length=20)),
                ('key', models.CharField(max_length=200)),
                ('body_digest', models.BinaryField()),
                ('decision', models.CharField(max_length=40)),
                ('approval', models.CharField(blank=True, max_length=40)),
                ('epoch', models.BigIntegerField(help_text='Sum of the epochs that the answer rests on.')),
                ('answer', models.BinaryField()),
                ('created', models.DateTimeField()),
                ('expires_at', models.DateTimeField(help_text='Until when the decision is open.')),
                ('agent', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.agent')),
            ],
            options={
                'verbose_name_plural': 'idempotency records',
            },
        ),
        migrations.CreateModel(
            name='PolicyVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('digest', models.CharField(help_text='pol_<SHA-256 of the canonical content>.', max_length=80)),
                ('content', models.JSONField(help_text='The rules, as in the workspace file.')),
                ('status', models.CharField(choices=[('draft', 'Draft'), ('in_force', 'In force'), ('retired', 'Retired')], default='draft', max_length=8)),
                ('note', models.CharField(blank=True, max_length=500)),
                ('drafted_by', models.CharField(max_length=200)),
                ('published_by', models.CharField(blank=True, max_length=200)),
                ('created', models.DateTimeField(auto_now_add=True)),
                ('published_at', models.DateTimeField(blank=True, null=True)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='policy_versions', to='workspaces.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='Session',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(blank=True, max_length=200)),
                ('labels', models.JSONField(default=list)),
                ('tools', models.JSONField(default=list)),
                ('calls', models.JSONField(default=list, help_text='Digests of the latest calls, newest last.')),
                ('allowed', models.BigIntegerField(default=0)),
                ('started', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('agent', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sessions', to='workspaces.agent')),
            ],
        ),
        migrations.CreateModel(
            name='Vote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('approve', models.BooleanField()),
                ('known_by', models.CharField(choices=[('session', 'signed in'), ('link', 'personal link and code from the mail')], max_length=10)),
                ('entry_index', models.BigIntegerField(help_text="The vote's entry, whose Detail holds the comment.")),
                ('created', models.DateTimeField()),
                ('approval', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='votes', to='governance.approval')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='votes', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(condition=models.Q(('status', 'pending')), fields=['agent'], name='approval_open_by_agent'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(condition=models.Q(('status', 'pending')), fields=['expires_at'], name='approval_open_by_expiry'),
        ),
        migrations.AddConstraint(
            model_name='approvallink',
            constraint=models.UniqueConstraint(fields=('approval', 'person'), name='one_link_per_reviewer'),
        ),
        migrations.AddConstraint(
            model_name='call',
            constraint=models.UniqueConstraint(fields=('agent', 'session', 'call_id'), name='one_call_per_id'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(condition=models.Q(('outcome__in', ['open', 'running'])), fields=['lease_until'], name='decision_awaiting_outcome'),
        ),
        migrations.AddIndex(
            model_name='idempotency',
            index=models.Index(fields=['created'], name='idempotency_by_age'),
        ),
        migrations.AddConstraint(
            model_name='idempotency',
            constraint=models.UniqueConstraint(fields=('agent', 'route', 'key'), name='one_answer_per_idempotency_key'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.UniqueConstraint(fields=('workspace', 'number'), name='one_policy_version_per_number'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'in_force')), fields=('workspace',), name='one_policy_in_force'),
        ),
        migrations.AddConstraint(
            model_name='session',
            constraint=models.UniqueConstraint(fields=('agent', 'name'), name='one_session_per_name'),
        ),
        migrations.AddConstraint(
            model_name='vote',
            constraint=models.UniqueConstraint(fields=('approval', 'person'), name='one_vote_per_reviewer'),
        ),
    ]
