"""P11: what Keyturn itself tells a model is a part of the release."""

from keyturn.orchestrator.rules.contract import release as releases
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.text import canonical, model_notices
from tests.orchestrator.rules.shop import TOOLS, contract

RELEASE = releases.of(contract(()), TOOLS, ())


def test_p11_another_version_of_the_notices_is_another_release():
    other = RELEASE.model_copy(update={"notices": "another"})

    assert RELEASE.notices == model_notices.VERSION
    assert RELEASE.data()["notices"] == model_notices.VERSION
    assert other.hash() != RELEASE.hash()


def test_a_release_stored_before_it_named_its_notices_keeps_its_hash():
    stored = {name: one for name, one in RELEASE.data().items() if name != "notices"}
    name = canonical.digest(stored)

    loaded = Release.model_validate(stored)

    assert loaded.notices is None
    assert loaded.data() == stored
    assert loaded.hash() == name != RELEASE.hash()
