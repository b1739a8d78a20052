"""What switches and seeds do to the models that are steered by the core, whatever their task."""

import itertools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch

from components.tasks.captioning import task as captioning
from components.tasks.question_answering import task as question_answering
from tests.components.tasks.captioning import fixtures as captioning_fixtures
from tests.components.tasks.question_answering import fixtures as question_answering_fixtures
from tests.components.tasks.quick import train_quickly

SWITCHES = ("history", "attention", "feedback", "profile", "attention_modulation", "fusion_modulation")
TASKS = {
    "captioning": (captioning, captioning_fixtures),
    "question-answering": (question_answering, question_answering_fixtures),
}


class Prepared(NamedTuple):
    """A task with small data."""

    task: ModuleType
    tiny_config: Callable[..., Any]
    data: Any

    def build(self, *core: dict[str, Any] | None, **training: Any) -> Any:
        """Build a module; `core` has the settings of the core, or None for the baseline."""
        return self.task.build(self.tiny_config(self.data.folder, *core, **training), self.data)


@pytest.fixture(scope="module", params=list(TASKS))
def prepared(request, tmp_path_factory):
    task, fixtures = TASKS[request.param]
    return Prepared(task, fixtures.tiny_config, fixtures.tiny_data(tmp_path_factory.mktemp("data")))


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_part_switched_off_has_no_parameters_and_changes_no_other_initial_value(prepared, switch):
    full, module = prepared.build({}).model, prepared.build({switch: False})
    of_full, of_less = dict(full.named_parameters()), dict(module.model.named_parameters())
    assert set(of_less) < set(of_full)
    for name in of_less:
        if of_less[name].shape == of_full[name].shape:
            assert torch.equal(of_less[name], of_full[name]), name
    module.log = lambda *args, **keywords: None
    loss = module.training_step(next(module.batches.epoch(0)), 0)
    loss.backward()
    assert torch.isfinite(loss)


def test_all_off_is_the_baseline(prepared):
    def shapes(core):
        return {name: value.shape for name, value in prepared.build(core).model.named_parameters()}

    assert shapes(dict.fromkeys(SWITCHES, False)) == shapes(None)


def test_every_parameter_learns(prepared):
    module = prepared.build()
    module.log = lambda *args, **keywords: None
    for part in module.trained.modules():  # what starts at zero hides what lies behind it
        if hasattr(part, "weight") and part.weight is not None and not part.weight.any():
            torch.nn.init.normal_(part.weight, std=0.1)
    for batch in itertools.islice(module.batches.epoch(0), 8):
        module.training_step(batch, 0).backward()
    silent = [
        name
        for name, weight in module.trained.named_parameters()
        if weight.grad is None or not weight.grad.any()
    ]
    assert silent == ["core.own_question.weight", "core.own_question.bias"]  # for tasks without a query


def test_the_same_seed_gives_the_same_weights_and_another_one_others(prepared):
    one, two, other = (
        train_quickly(prepared.build({}, seed=seed), 1, most=4).model.state_dict() for seed in (3, 3, 4)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_averaging_follows_the_trained_weights(prepared):
    module = prepared.build()
    with torch.no_grad():
        for weight in module.trained.parameters():
            weight.add_(1)
    before = next(module.model.parameters()).clone()
    module._trainer = type("Trainer", (), {"global_step": 0})()
    module.on_train_batch_end(None, next(module.batches.epoch(0)), 0)
    assert torch.allclose(next(module.model.parameters()), before + 0.9)
