"""TLS between two stacks: asyncio's SSLProtocol on our transport, as a server, as a client, and by start_tls."""

import asyncio
import ssl
import subprocess

import pytest

from tests.aio.net import HOST, Patient, Recorder, two_protocols, two_stacks
from tests.aio.test_streams import echo
from tests.aio.virtual_loop import run

NAME = "netstack.test"


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """(server's, client's): a certificate made for this run, which the client trusts."""
    directory = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:{HOST}",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=certificate)


def test_streams_over_tls(contexts):
    async def main():
        async with two_stacks() as (client, server):
            await server.start_server(echo, port=443, ssl=contexts[0])
            reader, writer = await client.open_connection(HOST, 443, ssl=contexts[1])
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            assert writer.get_extra_info("peername") == (HOST, 443)
            payload = bytes(range(256)) * 4096
            writer.write(payload)
            assert await reader.readexactly(len(payload)) == payload
            writer.close()
            await writer.wait_closed()

    run(main())


def test_protocols_over_tls_see_their_connection_after_the_handshake(contexts):
    async def main():
        async with two_stacks() as (client, server):
            made = asyncio.get_running_loop().create_future()

            def factory():
                made.set_result(Recorder())
                return made.result()

            listener = await server.create_server(factory, port=443, ssl=contexts[0])
            transport, near = await client.create_connection(
                Recorder, HOST, 443, ssl=contexts[1], server_hostname=NAME
            )
            assert near.transport is transport
            transport.write(b"secret")
            await asyncio.sleep(1)
            far = await made
            assert far.log == ["made", b"secret"]
            assert far.transport.get_extra_info("sslcontext") is contexts[0]
            transport.close()
            listener.close()
            await listener.wait_closed()
            assert far.log[-1] == ("lost", type(None))
            assert await near.lost is None

    run(main())


def test_a_name_that_the_certificate_does_not_have_is_refused(contexts):
    async def main():
        async with two_stacks() as (client, server):
            await server.create_server(Recorder, port=443, ssl=contexts[0])
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.create_connection(Recorder, HOST, 443, ssl=contexts[1], server_hostname="other.test")
            await asyncio.sleep(60)
            assert not server.driver.transports

    run(main(), expect_unhandled=True)


def test_a_client_that_speaks_no_tls_is_dropped(contexts):
    async def main():
        async with two_stacks() as (client, server):
            await server.create_server(Recorder, port=443, ssl=contexts[0], ssl_handshake_timeout=5)
            for first in (b"GET / HTTP/1.1\r\n\r\n", b""):
                transport, near = await client.create_connection(Recorder, HOST, 443)
                if first:
                    transport.write(first)
                await asyncio.wait_for(near.lost, 10)
            assert not server.driver.transports

    run(main(), expect_unhandled=True)


def test_start_tls_upgrades_an_open_connection(contexts):
    async def main():
        async with two_protocols(client_factory=Patient, server_factory=Patient) as (near, far):
            loop = asyncio.get_running_loop()
            near.transport.write(b"STARTTLS")
            await asyncio.sleep(1)
            assert far.log == ["made", b"STARTTLS"]
            upgraded, over = await asyncio.gather(
                loop.start_tls(far.transport, far, contexts[0], server_side=True),
                loop.start_tls(near.transport, near, contexts[1], server_hostname=NAME),
            )
            over.write(b" and now in secret")
            await asyncio.sleep(1)
            assert far.log == ["made", b"STARTTLS and now in secret"]
            upgraded.write(b"answer")
            await asyncio.sleep(1)
            assert near.log == ["made", b"answer"]
            over.close()
            await asyncio.sleep(1)
            assert near.log[-1] == ("lost", type(None))

    run(main())


def test_tls_arguments_are_checked():
    async def main():
        async with two_stacks() as (client, server):
            with pytest.raises(TypeError, match="SSLContext"):
                await server.create_server(Recorder, port=443, ssl=True)
            with pytest.raises(ValueError, match="server_hostname"):
                await client.create_connection(Recorder, HOST, 443, server_hostname=NAME)

    run(main())
