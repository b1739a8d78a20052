import pytest

from components.tasks import TASKS
from tests.components.privacy.models import make_tiny


@pytest.fixture(scope="module", params=list(TASKS))
def tiny(request, tmp_path_factory):
    return make_tiny(request.param, tmp_path_factory.mktemp(request.param))
