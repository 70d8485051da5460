"""Where notices may be posted to: nowhere that only our own server can reach."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keyturn.approvals.notify import address
from keyturn.approvals.notify.errors import BadAddress, NotDelivered
from keyturn.approvals.notify.webhook import Message, Poster
from tests.approvals.notify.receiver import receiving

SECRET = "whsec_c2VjcmV0"  # noqa: S105 of nobody real


@pytest.mark.parametrize(
    "found",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 as an address to refuse
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b:1::7f00:1",
        "fec0::1",
        "3fff::1",
        "5f00::1",
    ],
)
async def test_an_address_inside_is_refused_however_it_is_written(found: str) -> None:
    async def look_up(_host: str, _port: int) -> Sequence[str]:
        return ["93.184.215.14", found]

    assert not address.is_public(ip_address(found))
    with pytest.raises(BadAddress, match="not public"):
        await address.locate("https://h.example", private=False, look_up=look_up)
    literal = f"[{found}]" if ":" in found else found
    with pytest.raises(BadAddress, match="not a public address"):
        address.check(f"https://{literal}/hook", private=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/x",
        "ftp://hooks.example/x",
        "https://",
        "https://user:word@hooks.example/",
        "https://hooks.example:99999/",
        "https://hooks.example:0/",
        "https://[::1/",
        "https://hooks.exämple/",
        "//hooks.example/",
        "https://hooks.example/a b",
        "http://127.0.0.1:80/",
    ],
)
def test_what_is_no_public_https_address_is_refused(url: str) -> None:
    with pytest.raises(BadAddress, match="url: "):
        address.check(url, private=False)


def test_plain_http_is_for_this_machine_alone() -> None:
    assert address.check("http://localhost:8000/x", private=True).port == 8000
    with pytest.raises(BadAddress, match="https"):
        address.check("http://hooks.example/x", private=True)


async def test_a_name_that_comes_to_lead_inside_is_refused_when_it_does() -> None:
    answers = [["93.184.215.14"], ["169.254.169.254"]]

    async def look_up(_host: str, _port: int) -> Sequence[str]:
        return answers.pop(0)

    first = await address.locate("https://h.example", private=False, look_up=look_up)

    assert first.url(first.addresses[0]) == "https://93.184.215.14:443"
    with pytest.raises(BadAddress):
        await address.locate("https://h.example", private=False, look_up=look_up)


async def test_a_name_that_nobody_knows_is_tried_again_later() -> None:
    async def look_up(host: str, _port: int) -> Sequence[str]:
        raise OSError(host)

    with pytest.raises(NotDelivered, match="could not be resolved") as refused:
        await address.locate("https://h.example", private=False, look_up=look_up)
    assert not refused.value.for_good


async def test_the_receiver_proves_its_name_though_its_address_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = _certificate("hooks.test", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))

    async def look_up(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with receiving(tls=tls, host="hooks.test") as receiver:
        poster = Poster(private=True, look_up=look_up, timeout_s=5)

        assert await poster.post(_message(receiver.url)) == 200
        with pytest.raises(NotDelivered, match="CERTIFICATE_VERIFY_FAILED"):
            await poster.post(
                _message(receiver.url.replace("hooks.test", "other.test"))
            )
        await poster.close()

    [posted] = receiver.posted
    assert posted.headers["host"] == receiver.url.removeprefix("https://")
    assert posted.path == "/hook?a=b"
    posted.verified(SECRET)


def _message(url: str) -> Message:
    return Message(id="msg_1", url=f"{url}/hook?a=b", body="{}", secrets=(SECRET,))


def _certificate(name: str, folder: Path) -> ssl.SSLContext:
    """A server's side of TLS for a name, with its certificate in `cert.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
