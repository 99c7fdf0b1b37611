"""A mail server for the tests: real SMTP by aiosmtpd. It prints its port, then each mail it takes, as JSON lines.

What it does depends on the first word of the recipient: `refused` (550), `grey` (451 the first time), `hang` (no answer).
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self):
        self.seen = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        word = address.split("-")[0]
        if word == "refused":
            return f"550 5.1.1 <{address}> is nobody here"
        if word == "grey" and address not in self.seen:
            self.seen.add(address)
            return f"451 4.7.1 <{address}> try again later"
        if word == "hang":
            await asyncio.sleep(3600)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        say(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "tls": session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
                "user": (session.auth_data or b"").decode() if session.authenticated else None,
                "hello": session.host_name,
                "data": envelope.content.decode("utf-8", "replace"),
            }
        )
        return "250 taken"


def say(line):
    print(json.dumps(line), flush=True)


def authenticate(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"wallet", "p@ss/w\u00f2rd".encode())
    return AuthResult(success=good, auth_data=data.login)


async def main(kind, certificate, key):
    context = None
    if kind != "plain":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    handler = Handler()

    def smtp():
        upgrade = context if kind == "starttls" else None
        return SMTP(
            handler,
            tls_context=upgrade,
            require_starttls=upgrade is not None,
            authenticator=authenticate,
            auth_require_tls=kind == "starttls",
        )

    server = await asyncio.get_running_loop().create_server(
        smtp, "127.0.0.1", 0, ssl=context if kind == "smtps" else None
    )
    say({"port": server.sockets[0].getsockname()[1]})
    await asyncio.to_thread(sys.stdin.read)  # until whoever started it is gone


asyncio.run(main(*sys.argv[1:]))
