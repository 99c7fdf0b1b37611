"""What schemathesis cannot know by itself: things that exist.

A generator makes ids that nobody has, so that every route with an id in it would be tested up to its 404. Two thirds of
the ids that it makes are therefore replaced by ids of things which are made here first, through the API itself. Which
ones depends on the generated value alone: the same seed sends the same requests but for the ids' own values.
Requests that are wrong on purpose are left as they are, and so are those which follow a link, for they name real things.

Who makes things is a machine of the house; who asks is the caller of this run, in a session of theirs or as nobody.
"""

import itertools
import json
import os
import re
import urllib.error
import urllib.request
import uuid
import zlib

import schemathesis

URL, TENANT = os.environ["TESSERA_URL"], os.environ["TENANT"]
HOUSE, CALLER = os.environ["TESSERA_HOUSE_KEY"], os.environ["TESSERA_KEY"]
# Half of what the shortest access token lives: an operator's who may much.
RENEWED_AFTER_S = 150


# Nothing listens on port 9: deliveries fail and stay, with attempts to read.
HOOK = {"url": "http://127.0.0.1:9/hooks", "event_types": ["*"]}

# Refusals of a request for what it is, and not for what the books or the world are like.
FORM = {"body-invalid", "body-malformed", "request-malformed", "cursor-invalid", "limit-invalid",
        "idempotency-key-invalid", "idempotency-key-missing", "media-type-unsupported", "event-types-invalid"}


def ask(method, path, body=None, key=HOUSE):
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


if CALLER:

    @schemathesis.auth(refresh_interval=RENEWED_AFTER_S, retry_on=[])
    class Caller:
        """Who asks: with one key for ever, or in a session whose tokens are renewed as a client of it does."""

        token, refresh = None, os.environ.get("TESSERA_REFRESH")

        def get(self, case, context):
            if self.token is None:
                self.token = CALLER
            elif self.refresh:
                pair = ask("POST", "/v1/sessions/refresh", {"refresh_token": self.refresh}, None)
                self.token, self.refresh = pair["access_token"], pair["refresh_token"]
            return self.token

        def set(self, case, data, context):
            case.headers["Authorization"] = f"Bearer {data}"


def eur(minor):
    return {"amount": str(minor), "asset": "EUR"}


def seed():
    """A small tenant with one of everything: ids by the name under which a request asks for them."""
    customers = [ask("POST", "/v1/customers", {"reference": f"contract-{n}"})["id"] for n in range(3)]
    merchant = ask("POST", "/v1/merchants", {"reference": "contract", "name": "Emporio"})["id"]
    programme = ask("POST", "/v1/programmes", {"code": "contract", "name": "Club"})["id"]
    rule = {"cashback_bps": 200, "points_per_euro": 1}
    campaign = ask("POST", "/v1/campaigns", {"programme": programme, "name": "Spring", "rule": rule})["id"]
    ask("POST", f"/v1/campaigns/{campaign}/fund", {"amount": eur(1_000_000)})
    endpoints = [ask("POST", "/v1/hook-endpoints", HOOK)["id"] for _ in range(3)]
    payments = []
    for customer in customers:
        ask("POST", "/v1/top-ups", {"customer": customer, "amount": eur(10_000_000), "rail": "card"})
        wish = {"customer": customer, "merchant": merchant, "amount": eur(1_999), "instrument": {"kind": "wallet"}}
        payments.append(ask("POST", "/v1/payments", wish)["id"])
    sequences = [ask("POST", f"/v1/hook-endpoints/{endpoint}/test")["sequence"] for endpoint in endpoints]
    replays = [ask("POST", f"/v1/hook-endpoints/{endpoint}/replays", {})["id"] for endpoint in endpoints]
    keys = [str(uuid.uuid4())]
    names = [kind["type"] for kind in ask("GET", "/v1/event-types")["items"]]
    return {
        "customer": customers, "merchant": [merchant], "programme": [programme], "campaign": [campaign],
        "payment": payments, "endpoint": endpoints, "sequence": sequences, "replay": replays, "key": keys, "name": names,
    }


def books(customers):
    """What the journal keeps of them, and what waits for another pair of eyes."""
    accounts = [ask("GET", f"/v1/ledger/accounts?owner={one}&asset=EUR")["items"][0]["id"] for one in customers]
    debit, credit, *_ = accounts
    move = {"debit": debit, "credit": credit, "amount": "1", "asset": "EUR"}
    wish = {"reason": "error", "text": "Paid for the wrong one", "transfers": [move]}
    adjustments = [ask("POST", "/v1/ledger/adjustments", wish)["id"] for _ in range(3)]
    approvals = [ask("POST", "/v1/limit-tables", {})["approval"] for _ in range(3)]
    return {
        "account": accounts, "adjustment": adjustments, "approval": approvals, "seq": list(range(1, 20)), "leg": [0, 1],
        "tenant": [TENANT], "asset": ["EUR", "PTS:contract"],
    }


def own(merchant):
    """What the caller has, who is a person: nothing of everybody else."""
    try:
        sessions = ask("GET", "/v1/me/sessions", key=CALLER)
    except urllib.error.HTTPError as refused:
        assert refused.code in (401, 403), refused
        return {}, set()
    for cents in (1, 999, 1_999):
        ask("POST", "/v1/me/payments", {"merchant": merchant, "amount": eur(cents)}, CALLER)
    ends = {session[name] for session in sessions if session["current"] for name in ("id", "device")}
    mine = {"own payment": ask("GET", "/v1/me/payments", key=CALLER)["items"], "session": sessions}
    for name in ("passkey", "contact", "device"):
        mine[name] = ask("GET", f"/v1/me/{name}s", key=CALLER)
    return {name: [one["id"] for one in things if one["id"] not in ends] for name, things in mine.items()}, ends


KNOWN = seed()
KNOWN.update(books(KNOWN["customer"]))
OWN, ENDS = own(KNOWN["merchant"][0])
KNOWN.update(OWN)

# What the id in a path is the id of, by how the path begins.
PATHS = {
    "/v1/campaigns/": "campaign", "/v1/customers/": "customer", "/v1/merchants/": "merchant",
    "/v1/payments/": "payment", "/v1/hook-endpoints/": "endpoint", "/v1/hook-replays/": "replay",
    "/v1/approvals/": "approval", "/v1/ledger/accounts/": "account", "/v1/ledger/adjustments/": "adjustment",
    "/v1/me/payments/": "own payment", "/v1/me/sessions/": "session", "/v1/me/devices/": "device",
    "/v1/me/passkeys/": "passkey", "/v1/me/contacts/": "contact",
}


# What a passkey answers, by its form: no browser's, and so always refused for what it is.
ASSERTION = {
    "id": "AAAA", "rawId": "AAAA", "type": "public-key", "clientExtensionResults": {},
    "response": {"clientDataJSON": "e30", "authenticatorData": "AAAA", "signature": "AAAA"},
}

# Where somebody says how they are reached.
REACHED = {"/v1/sign-ups", "/v1/recoveries"}

CURSOR = re.compile(r"^[A-Za-z0-9_-]{34,}$")
NUMBERS = itertools.count(1)


def known(kind, value):
    """A thing that exists instead of the one that was made up, two times of three."""
    number = zlib.crc32(str(value).encode())
    things = KNOWN.get(kind)
    return value if number % 3 == 0 or not things else things[number // 3 % len(things)]


def is_meant(case, part):
    parts = {location.name.lower(): info.mode.name for location, info in case.meta.components.items()}
    return parts.get(part, "POSITIVE") == "POSITIVE"


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None:
        return
    if is_meant(case, "query") and case.query and not CURSOR.match(str(case.query.get("cursor"))):
        case.query.pop("cursor", None)  # is signed: there is none but those that a page before gave
    if is_meant(case, "query") and case.query:
        make_sense_of_query(case.query)
    if is_meant(case, "body") and isinstance(case.body, dict):
        case.body = whole(case.body)
        make_sense(case.body)
        if case.operation.path == "/v1/ledger/transactions" and "transfers" in case.body and is_meant(case, "header"):
            case.headers["Idempotency-Key"] = str(uuid.uuid4())  # of one transaction; several have an id each
        if case.operation.path == "/v1/ledger/accounts":
            case.body["asset"] = "EUR"
        if case.operation.path in REACHED:
            case.body.pop("phone", None)  # one or the other, and nothing sends text messages yet
            case.body["email"] = case.body.get("email") or "anna@example.org"
    if case.path_parameters and case.path_parameters.get("id") in ENDS and case.operation.method.upper() == "DELETE":
        case.path_parameters["id"] = str(uuid.UUID(int=0))  # who ends their own session learns of nothing from then on
    if case.meta.phase.name.name == "STATEFUL":
        return  # what it names came from an answer
    path, inside = case.operation.path, case.path_parameters
    if is_meant(case, "path") and inside:
        kind = next((kind for start, kind in PATHS.items() if path.startswith(start)), None)
        if "id" in inside and kind:
            inside["id"] = known(kind, inside["id"])
        for name in sorted({"sequence", "key", "name", "seq", "leg"} & inside.keys()):
            inside[name] = known(name, inside[name])
    if is_meant(case, "header") and case.headers and "Idempotency-Key" in case.headers:
        # One key is one intent for ever: a second request of the same key would be told so, and of nothing else.
        case.headers["Idempotency-Key"] = f"{case.headers['Idempotency-Key'][:200]}-{next(NUMBERS)}"
    if is_meant(case, "body") and isinstance(case.body, dict):
        for name in ("customer", "merchant", "programme", "tenant"):
            if isinstance(case.body.get(name), str):
                case.body[name] = known(name, case.body[name])


def whole(value):
    """The same, with 2.0 written as 2: one number to JSON Schema, but no whole number to us."""
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Of a report of what points are worth.
VALUE = ["paid", "goods_price", "unit_price_millionths", "sold_rate_millionths", "expected_units", "recognised_before"]


def make_sense_of_query(query):
    """The same of what is asked for by a query."""
    for further in [name for name in ("seq", "recorded_at", "effective_at") if name in query][1:]:
        query.pop(further)  # one moment
    if not set(VALUE[:3]) <= query.keys():
        for name in VALUE:
            query.pop(name, None)  # a value is made of these three, and of the others with them
    if query.get("asset"):
        query["asset"] = KNOWN["asset"][len(str(query["asset"])) % 2]
    if query.get("kind") == "refused":
        query.pop("account", None)  # what was refused moved nothing on any account


def make_sense(body):
    """Keeps the rules over two fields, and of the world outside, that no schema can say."""
    if "url" in body:
        body["url"], body["handshake"] = HOOK["url"], False  # names must resolve, and who shakes hands be there
    for name in ("event_types", "ids"):
        if isinstance(body.get(name), list):
            kind = KNOWN["name" if name == "event_types" else "key"]
            body[name] = [kind[len(str(one)) % len(kind)] for one in body[name]]
    if (body.get("amount") or {}).get("asset", "EUR") != "EUR":
        body["amount"]["asset"] = "EUR"  # a budget takes the points of its own programme and no other's
    if body.get("occurred_at"):
        body["occurred_at"] = "2026-01-31T08:00:00Z"  # from 1970 to five minutes ahead
    if body.get("ends_at"):
        body.pop("starts_at", None)  # an end comes after its beginning
    if body.get("capture") == "manual":
        body["instrument"] = {"kind": "wallet"}  # a rail authorises by itself
        body.pop("occurred_at", None)  # money is set aside from now on
    if "instrument" in body:
        body.pop("expires_at", None)  # ahead, and only of what is set aside
    for one in [body, *(body.get("transactions") or [])]:
        for transfer in one.get("transfers") or []:
            transfer["asset"] = "EUR"  # what there is none of is refused as no form of it
            if transfer.get("how") in ("capture", "void", "refund") and not transfer.get("of"):
                transfer["how"] = "move"  # these are about a row that is there
    if body.get("granted") is True:
        body.update(version=1, locale="it", sha256=body.get("sha256") or "0" * 64)  # what one was shown
    if "offer" in body:
        body["response"] = ASSERTION
    if not body.get("ordered"):
        body.pop("skip_after", None)  # belongs to the order
    for bound in ("from", "until"):
        if body.get(bound):
            body.pop(f"{bound}_time", None)  # one or the other


@schemathesis.check
def what_the_document_allows_is_not_refused_for_its_form(ctx, response, case):
    """Sharper than positive_data_acceptance, which has to take every 422: some are about the books."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code < 400:
        return
    code = response.json().get("code")
    assert code not in FORM, f"the document allows this request, and it was refused as {code}: {response.text}"
