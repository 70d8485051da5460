"""A decision counts where one of the known keys signed exactly it."""

from datetime import UTC, datetime

import pytest

from keyturn.orchestrator.rules.authority.binding import (
    DecisionKeyError,
    Signer,
    Statement,
    Verifier,
    new_key,
)

SAID = Statement(
    approval="ap-1",
    binding="b" * 64,
    effective="b" * 64,
    person="p-1",
    session="s-1",
    decision="approve",
    at=datetime(2026, 11, 28, tzinfo=UTC),
)
OLD, NEW = Signer(new_key()), Signer(new_key())
BOTH = f"{NEW.public()},{OLD.public()}"


def test_while_a_key_is_changed_both_are_taken() -> None:
    both = Verifier(f" {NEW.public()} , {OLD.public()} ")

    assert both.count == 2
    assert both.is_genuine(SAID, OLD.sign(SAID))
    assert both.is_genuine(SAID, NEW.sign(SAID))
    # Once the old one is taken off, what it signed counts no more.
    assert not Verifier(NEW.public()).is_genuine(SAID, OLD.sign(SAID))


@pytest.mark.parametrize("keys", [NEW.public(), BOTH], ids=["one", "two"])
@pytest.mark.parametrize(
    "change",
    [
        {"approval": "ap-2"},
        {"binding": "c" * 64},
        {"effective": "c" * 64},
        {"person": "p-2"},
        {"session": "s-2"},
        {"decision": "reject"},
        {"at": datetime(2026, 11, 29, tzinfo=UTC)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_part_of_a_decision_can_be_another(
    keys: str, change: dict[str, object]
) -> None:
    signature = NEW.sign(SAID)

    assert Verifier(keys).is_genuine(SAID, signature)
    assert not Verifier(keys).is_genuine(SAID.model_copy(update=change), signature)


@pytest.mark.parametrize("signature", ["", "no base64!", "AAAA", "A" * 88])
def test_what_is_no_signature_is_not_genuine(signature: str) -> None:
    assert not Verifier(BOTH).is_genuine(SAID, signature)


def test_a_stranger_s_signature_is_not_genuine() -> None:
    assert not Verifier(BOTH).is_genuine(SAID, Signer(new_key()).sign(SAID))


@pytest.mark.parametrize(
    "keys",
    ["", f"{NEW.public()},", "public:AAAA", "nothing"],
    ids=["none", "one and none", "short", "other"],
)
def test_keys_that_are_none_are_refused(keys: str) -> None:
    with pytest.raises(DecisionKeyError, match="KEYTURN_DECISION_KEY must be 32 bytes"):
        Verifier(keys)


def test_whoever_signs_needs_the_private_half() -> None:
    with pytest.raises(DecisionKeyError, match="give it the private key"):
        Signer(NEW.public())
