"""What an API server's refusal means, and what to do about it: one sentence for each status."""

from __future__ import annotations

from http import HTTPStatus

_AGAIN = "run the same command again"
_REMEDIES: dict[int, str] = {
    HTTPStatus.NOT_FOUND: "it does not exist, or this API server does not serve its kind: create "
    "or install it first",
    HTTPStatus.CONFLICT: f"somebody else changed it just now: {_AGAIN}",
    HTTPStatus.GONE: f"what was read is too old by now: {_AGAIN}",
    HTTPStatus.TOO_MANY_REQUESTS: f"the API server has too much to do: wait, and {_AGAIN}",
}
_UNHEALTHY = (
    "see whether the API server is healthy (kubectl get --raw /readyz), and run the same command "
    "again"
)
_NOT_TAKEN = "the API server does not take this request: see whether its version is a supported one"


def refusal(doing: str, path: str, status: int, said: str, *, manifest: str) -> str:
    """Return why a request was refused, and the remedy.

    Args:
        doing: what the request does to ``path``: ``reading``.
        path: of the request, without its query.
        status: of the answer (RFC 9110, section 15).
        said: the answer's own words; nothing of what was sent, where that holds a secret.
        manifest: the file that grants what is asked for.
    """
    if status == HTTPStatus.UNAUTHORIZED:
        return "the API server does not know these credentials; log in again"
    if status == HTTPStatus.FORBIDDEN:
        return f"{doing} {path} is forbidden; grant what {manifest} grants"
    remedy = _UNHEALTHY if status >= 500 else _REMEDIES.get(status, _NOT_TAKEN)
    return f"{doing} {path} failed: {status} {said}; {remedy}"
