import threading
import warnings

import pytest
import torch

from components import training
from components.tasks.recommendation import task as recommendation
from components.tasks.recommendation.training import RecommendationTraining
from tests.components.tasks.recommendation.fixtures import tiny_config, tiny_data


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("prepared"))


class Interrupted(Exception):
    pass


def fit(log, folder, epochs, stop_after=None, **settings):
    config = tiny_config(**settings)
    module = recommendation.build(config, log)
    reports = []

    def on_epoch(report, module):
        reports.append(report)
        if report.epoch == stop_after:
            raise Interrupted

    training.fit(
        recommendation,
        module,
        log,
        config.training,
        epochs,
        group="seen",
        checkpoint_folder=folder,
        on_epoch=on_epoch,
    )
    return module.state_dict(), reports


def assert_equal(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name


def test_reports_come_after_each_epoch(log, tmp_path):
    _, reports = fit(log, tmp_path, 2)
    assert [report.epoch for report in reports] == [1, 2]
    for report in reports:
        assert {"train_loss", "accuracy", "ndcg@10"} <= report.metrics.keys()
        assert report.seconds > 0


def test_a_resumed_training_equals_an_undisturbed_one_bit_for_bit(log, tmp_path):
    whole, reports = fit(log, tmp_path / "whole", 3)
    with pytest.raises(Interrupted):
        fit(log, tmp_path / "parts", 3, stop_after=2)
    torch.rand(5)  # whatever else happened to the generator
    resumed, later = fit(log, tmp_path / "parts", 3)
    assert_equal(whole, resumed)
    assert [report.epoch for report in later] == [2, 3]
    assert [report.metrics for report in later] == [report.metrics for report in reports[1:]]


def test_a_longer_training_passes_through_the_end_of_a_shorter_one(log, tmp_path):
    _, short = fit(log, tmp_path / "short", 1)
    longer, reports = fit(log, tmp_path / "longer", 2)
    extended, _ = fit(log, tmp_path / "short", 2)
    assert short[0].metrics == reports[0].metrics
    assert_equal(longer, extended)


def test_a_finished_training_is_loaded_and_not_repeated(log, tmp_path):
    done, _ = fit(log, tmp_path, 2)
    again, reports = fit(log, tmp_path, 2)
    assert_equal(done, again)
    assert reports == []


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"])
def test_a_corrupt_checkpoint_is_warned_about_and_training_starts_over(log, tmp_path, damage):
    whole, _ = fit(log, tmp_path / "whole", 1)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / training.CHECKPOINT).write_bytes(damage)
    with pytest.warns(UserWarning, match="starts over"):
        restarted, reports = fit(log, broken, 1)
    assert_equal(whole, restarted)
    assert len(reports) == 1


def test_a_checkpoint_beyond_the_end_is_refused(log, tmp_path):
    fit(log, tmp_path, 2)
    with pytest.raises(ValueError, match="another folder"):
        fit(log, tmp_path, 1)


def test_only_whole_checkpoints_are_left_behind(log, tmp_path):
    fit(log, tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == [training.CHECKPOINT]


def test_half_precision_clips_gradients_also_where_the_optimiser_is_fused(log, tmp_path, monkeypatch):
    monkeypatch.setattr(RecommendationTraining, "fused", True)
    before = recommendation.build(tiny_config(), log).state_dict()
    after, _ = fit(log, tmp_path, 1, precision="bf16-mixed")
    assert not torch.equal(after["trained.like_query.weight"], before["trained.like_query.weight"])


@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_weight_that_is_no_number_ends_the_training(log, tmp_path, monkeypatch, place):
    def spoil(module, *_):
        """Make one number of one parameter NaN in the last step, as clipping an infinite gradient does."""
        if module.trainer.is_last_batch:
            with torch.no_grad():
                list(module.parameters())[place].view(-1)[-1] = torch.nan

    monkeypatch.setattr(RecommendationTraining, "on_train_batch_end", spoil)
    with pytest.raises(training.DivergedError, match=r"largest weight of .* in epoch 1 is nan"):
        fit(log, tmp_path, 1)
    assert not list(tmp_path.iterdir())


def test_training_outside_the_main_thread_works(log, tmp_path):
    failures = []

    def work():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fit(log, tmp_path, 1)
        except Exception as error:  # noqa: BLE001 - carried to the test's own thread
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []


def test_subnormal_numbers_count_as_zero_only_as_long_as_asked():
    tiny = torch.tensor([1e-39])
    with training.subnormals_as_zero():
        within = (tiny * 1.0).item()
    assert (within, (tiny * 1.0).item() > 0) == (0.0, True)
