"""People who leave a workspace."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from governance import leavers
from workspaces.api.people import MANAGE, MemberRows


class LeaveDocument(Exact):
    """Why somebody leaves."""

    reason = serializers.CharField(max_length=500)


class MemberLeave(MemberRows):
    """Leaving a workspace."""

    permission = {"POST": MANAGE}
    serializer_class = LeaveDocument

    @extend_schema(responses={204: None})
    def post(self, request: Request, slug: str, person: str) -> Response:
        """Take all of a person's roles here: calls that wait for them are asked of others, and their agents look for
        an owner. Nobody does so to themselves."""
        reason = self.read(request)["reason"]
        leavers.leave_workspace(self.workspace, self.member(), reason=reason, actor=self.actor)
        return Response(status=204)
