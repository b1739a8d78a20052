import io
import json

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from components.data.events import Event
from components.tasks.captioning import task as captioning
from components.tasks.captioning.evaluation import predict
from components.tasks.servable import UnknownKind, UnusableContent
from tests.components.tasks.captioning.fixtures import tiny_config, tiny_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("flickr"))


@pytest.fixture(scope="module")
def module(data):
    """Not trained, but with users who make a difference."""
    module = captioning.build(tiny_config(data.folder, model={"guidance": 3.0}), data)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        model = module.model
        for parameter in (*model.decoder.parameters(), *model.core.parameters(), *model.wish.parameters()):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module


@pytest.fixture(scope="module")
def servable(data, module, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "config.json").write_text(module.config.model_dump_json(), encoding="utf-8")
    safetensors.torch.save_file(module.model.state_dict(), folder / "model.safetensors")
    captioning.export(module, data, folder)
    return captioning.load_servable(folder)


def picture(pixels=None, form="PNG", size=(16, 16)):
    file = io.BytesIO()
    image = Image.new("RGB", size, (200, 30, 30)) if pixels is None else Image.fromarray(pixels)
    image.save(file, form)
    return file.getvalue()


def event(caption="a red dog in the snow", kind="captioned", value=1.0, content=None):
    content = json.dumps({"caption": caption, "image": "1.jpg"}) if content is None else content
    return Event(id="1", user="u", timestamp=1.0, content=content, kind=kind, value=value)


def test_the_servable_captions_as_the_evaluation_does(data, module, servable):
    """From the same events, one by one as the log tells them, and the same pixels as a file."""
    pair = np.flatnonzero(data.part[data.pair_image] == 1)[::6]
    same = (np.arange(len(data.user_ids)), np.arange(len(data.image_names)))
    whole, none = predict(module.model, module.library, pair, (-1, 0), *same)
    none_of = dict(zip(pair.tolist(), none, strict=True))
    differs = 0
    for place, row in enumerate(pair.tolist()):
        user, image = int(data.pair_user[row]), int(data.pair_image[row])
        profile = {
            field: names[data.profile[user, column]]
            for column, (field, names) in enumerate(data.profile_fields.items())
        }
        file = picture(data.pixels[image])
        state = servable.initial_state()
        before = servable.caption(state, profile, file)
        if data.drift_at[user] < 0:  # of others, the evaluation knows what came before the change
            assert before.text == none_of[row]
        for one in data.events_of(user):
            servable.check(one)
            state = servable.step(state, one)
        captioned = servable.caption(state, profile, file)
        assert captioned.text == whole[place]
        assert captioned.score <= 0
        differs += captioned != before
    assert differs


def test_states_survive_and_are_never_changed_in_place(servable):
    empty = servable.initial_state()
    dumped = servable.dump_state(empty)
    state = servable.step(empty, event())
    assert servable.dump_state(empty) == dumped
    again = servable.load_state(servable.dump_state(state))
    assert all(torch.equal(state[name], again[name]) for name in state)
    with pytest.raises(ValueError, match="state"):
        servable.load_state(b"nonsense")


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{}", "7", '"caption"', '{"caption": 7}', '{"caption": " . "}',
                json.dumps({"caption": "a " * 2_000}), "[" * 49_000],
)  # fmt: skip
def test_events_that_hold_no_caption_are_refused(servable, content):
    for read in (servable.check, lambda one: servable.step(servable.initial_state(), one)):
        with pytest.raises(UnusableContent, match="caption"):
            read(event(content=content))


def test_another_kind_of_event_is_refused(servable):
    with pytest.raises(UnknownKind, match="captioned"):
        servable.check(event(kind="rated"))


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(1, 1), (300, 20)])
def test_pictures_of_any_size_are_captioned(servable, form, size):
    state = servable.step(servable.initial_state(), event(value=-1.0))
    captioned = servable.caption(state, {"topic": "unheard of"}, picture(form=form, size=size))
    assert set(captioned.text.split()) <= set(servable.vocabulary.words)


@pytest.mark.parametrize(
    "image", [b"", b"no picture", picture()[:60], picture(form="GIF"), picture(form="BMP"), bytes(20_000_001)],
)  # fmt: skip
def test_what_is_no_whole_picture_is_refused(servable, image):
    with pytest.raises(UnusableContent, match="picture"):
        servable.caption(servable.initial_state(), {}, image)


@pytest.mark.parametrize("core", [None, {"history": False}])
def test_models_without_history_are_served_too(data, core, tmp_path):
    module = captioning.build(tiny_config(data.folder, core), data)
    (tmp_path / "config.json").write_text(module.config.model_dump_json(), encoding="utf-8")
    safetensors.torch.save_file(module.model.state_dict(), tmp_path / "model.safetensors")
    captioning.export(module, data, tmp_path)
    servable = captioning.load_servable(tmp_path)
    state = servable.step(servable.initial_state(), event())
    assert servable.caption(state, {}, picture()) == servable.caption(servable.initial_state(), {}, picture())
    assert servable.load_state(servable.dump_state(state)).keys() == state.keys()


def test_a_told_model_is_not_served(data, tmp_path):
    config = tiny_config(data.folder, {}, {"told": True})
    (tmp_path / "config.json").write_text(config.model_dump_json(), encoding="utf-8")
    with pytest.raises(ValueError, match="cannot be served"):
        captioning.load_servable(tmp_path)
