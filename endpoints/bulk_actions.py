"""What the list of endpoints does with several at once; each is done to those that the user may manage.

Where something is to be chosen or ticked first, that is asked on a page of its own, which sends the same action again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from access import actors
from access.models import User
from endpoints import lifecycle, listing, trials
from endpoints.deletion import count_keys
from endpoints.forms import MoveForm
from endpoints.models import Endpoint
from wire.errors import ApiError

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    _Base = ModelAdmin[Endpoint]
else:
    _Base = object

_LONGEST_MESSAGE = 300
MOST_ASKED = 500
"""How many endpoints a page asks about: Django takes 1,000 fields of a form, and nobody reads more."""


class BulkActions(_Base):
    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        self._set(request, queryset, "Enabled", enabled=True)

    @admin.action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        self._set(request, queryset, "Disabled", enabled=False)

    @admin.action(description="Test", permissions=["change"])
    def test(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        """Ask the providers of trials.MOST endpoints something short, all at once."""
        chosen = self._managed(request, queryset)
        if len(chosen) > trials.MOST:
            rest = len(chosen) - trials.MOST
            self.message_user(request, f"Tested the first {trials.MOST}; {rest} were left out.", messages.WARNING)
        for trial in trials.run(chosen[: trials.MOST]):
            level = messages.SUCCESS if trial.works else messages.ERROR
            self.message_user(request, _told(trial)[:_LONGEST_MESSAGE], level)

    @admin.action(description="Move to a team…", permissions=["change"])
    def move(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """Ask for the team first."""
        form = MoveForm(request.POST if "team" in request.POST else None, caller=_user(request).caller)
        if form.is_valid():
            self._set(request, queryset, "Moved", team_id=form.team_id)
            return None
        chosen = self._managed(request, queryset, most=MOST_ASKED)
        return self._asked(request, "endpoints/move.html", "Move inference endpoints to a team", chosen, form=form)

    @admin.action(description="Delete…", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """Show what a delete would break; once ticked, delete all or, where one is being updated, none."""
        chosen = self._managed(request, queryset, most=MOST_ASKED)
        if "understood" in request.POST:
            self._delete(request, chosen)
            return None
        keys = count_keys(chosen)
        rows = [(endpoint, listing.last_used(endpoint), keys[endpoint.inference_id]) for endpoint in chosen]
        facts = {"rows": rows, "unticked": "asked" in request.POST}
        return self._asked(request, "endpoints/delete_several.html", "Delete inference endpoints", chosen, **facts)

    def _asked(
        self, request: HttpRequest, template: str, title: str, chosen: Sequence[Endpoint], **facts: Any
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "endpoints": chosen,
            "action": request.POST["action"],
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            **facts,
        }
        return TemplateResponse(request, template, context)

    def _delete(self, request: HttpRequest, chosen: Sequence[Endpoint]) -> None:
        by = actors.of_session(_user(request), request)
        try:
            with transaction.atomic():
                for endpoint in chosen:
                    lifecycle.delete(endpoint.inference_id, by=by, judged=endpoint)
        except ApiError as error:
            self.message_user(request, error.reason, messages.ERROR)
        else:
            self.message_user(request, f"Deleted: {len(chosen)}", messages.SUCCESS)

    def _set(self, request: HttpRequest, queryset: QuerySet[Endpoint], done: str, **gateway: Any) -> None:
        by = actors.of_session(_user(request), request)

        def act(endpoint: Endpoint) -> bool:
            return lifecycle.set_gateway(endpoint.inference_id, gateway, by=by, judged=endpoint)

        self._each(request, queryset, done, act)

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Endpoint], done: str, act: Callable[[Endpoint], bool]
    ) -> None:
        count = 0
        for endpoint in self._managed(request, queryset):
            try:
                count += act(endpoint)
            except ApiError as error:
                self.message_user(request, error.reason, messages.ERROR)
        self.message_user(request, f"{done}: {count}", messages.SUCCESS)

    def _managed(self, request: HttpRequest, queryset: QuerySet[Endpoint], most: int | None = None) -> list[Endpoint]:
        """Return those that the user may manage, `most` of them, and say how many are left out."""
        found = list(queryset)
        managed = [one for one in found if self.has_change_permission(request, one)]
        if len(managed) < len(found):
            rest = len(found) - len(managed)
            self.message_user(request, f"You do not manage {rest} of these inference endpoints.", messages.WARNING)
        if most is not None and len(managed) > most:
            rest = len(managed) - most
            self.message_user(request, f"Here are the first {most}; {rest} were left out.", messages.WARNING)
        return managed[:most]


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _told(trial: trials.Trial) -> str:
    if not trial.works:
        return f"{trial.inference_id}: {trial.error[-1]} {trial.hint}"
    if trial.first_delta is None:
        return f"{trial.inference_id} works: {trial.seconds:.2f} s"
    return f"{trial.inference_id} works: {trial.first_delta:.2f} s to the first delta, {trial.seconds:.2f} s in all"
