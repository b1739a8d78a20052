import pytest

from tests.components.tasks.recommendation_fixtures import tiny_config, tiny_data


@pytest.fixture(scope="session")
def log(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def trained(log, tmp_path_factory):
    from components import training
    from components.tasks import recommendation

    config = tiny_config()
    module = recommendation.build(config, log)
    training.fit(
        recommendation,
        module,
        log,
        config.training,
        3,
        checkpoint_folder=tmp_path_factory.mktemp("checkpoint"),
        on_epoch=lambda report, module: None,
    )
    return module
