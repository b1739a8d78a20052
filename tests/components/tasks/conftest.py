import pytest
import torch

from tests.components.tasks.recommendation.fixtures import tiny_config, tiny_data


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Two processes with two threads each on two cores are many times slower than with one each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def log(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def trained(log, tmp_path_factory):
    from components import training
    from components.tasks.recommendation import task as recommendation

    config = tiny_config()
    module = recommendation.build(config, log)
    training.fit(
        recommendation,
        module,
        log,
        config.training,
        3,
        group="seen",
        checkpoint_folder=tmp_path_factory.mktemp("checkpoint"),
        on_epoch=lambda report, module: None,
    )
    return module
