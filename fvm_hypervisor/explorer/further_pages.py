"""Routes of all pages except the home page. They are imported after the first response, or when first requested."""

from __future__ import annotations

from typing import Final

from fvm_hypervisor.explorer import (
    actor_pages,
    call_pages,
    change_pages,
    control_pages,
    epochs,
    messages,
    search,
    state_pages,
    vectors,
)
from fvm_hypervisor.explorer.answers import page_route
from localnet.rpc.methods import QueryKind

_TRACE: Final = QueryKind.TRACE
ROUTES: Final = (
    page_route(r"/search", search.show_search),
    page_route(r"/actor/(?P<address>[^/]*)", actor_pages.show_actor),
    page_route(r"/actor/(?P<address>[^/]*)/state(?P<path>/.*)?", state_pages.show_state),
    page_route(r"/actor/(?P<address>[^/]*)/proof(?P<path>/.*)?", state_pages.show_proof),
    page_route(r"/actor/(?P<address>[^/]*)/call", call_pages.show_call_forms),
    page_route(r"/controls", control_pages.show_controls),
    page_route(r"/actors", actor_pages.show_actors),
    page_route(r"/tx/(?P<hash>[^/]*)", messages.show_message, _TRACE),
    page_route(r"/tx/(?P<hash>[^/]*)/calls\.svg", messages.show_calls_picture, _TRACE),
    page_route(r"/tx/(?P<hash>[^/]*)/flame\.svg", messages.show_flame, _TRACE),
    page_route(r"/tx/(?P<hash>[^/]*)/call/(?P<number>[^/]*)", messages.show_call, _TRACE),
    page_route(r"/tx/(?P<hash>[^/]*)/call/(?P<number>[^/]*)/(?P<what>params|return)", messages.show_call_data, _TRACE),
    page_route(r"/tx/(?P<hash>[^/]*)/changes", change_pages.show_message_changes, _TRACE),
    page_route(r"/epoch/(?P<epoch>[^/]*)/changes", change_pages.show_epoch_changes),
    page_route(r"/tx/(?P<hash>[^/]*)/again/(?P<name>[^/]*)", messages.show_copy_text),
    page_route(r"/tx/(?P<hash>[^/]*)/vector\.json", vectors.show_vector),
    page_route(r"/message/(?P<cid>[^/]*)", messages.show_message_by_cid, _TRACE),
    page_route(r"/epoch/(?P<epoch>[^/]*)", epochs.show_epoch),
    page_route(r"/epoch/(?P<epoch>[^/]*)/cron", messages.show_cron, _TRACE),
    page_route(r"/epoch/(?P<epoch>[^/]*)/cron/call/(?P<number>[^/]*)", messages.show_cron_call, _TRACE),
    page_route(r"/block/(?P<cid>[^/]*)", epochs.show_block),
)
