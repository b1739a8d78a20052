"""Captioning on what a pretrained encoder saw: trained, evaluated, exported and served without pixels."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from components.data import store
from components.data.captions import open_captions
from components.metrics.rows import macro
from components.tasks.captioning import task as captioning
from components.tasks.captioning.image import StoredRegions
from tests.components.data.encoders import SIZE, write_encoder
from tests.components.data.flickr_fixtures import tiny_settings, write_flickr
from tests.components.tasks.captioning.fixtures import tiny_config
from tests.components.tasks.quick import train_quickly


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("flickr")
    encoder = write_encoder(root / "encoder.pt2")
    folder = write_flickr(root / "flickr")
    settings = tiny_settings(folder, users=240, encoder=encoder, image_size=SIZE)
    return open_captions(store.prepare(settings, root / "prepared", form="captions"))


def test_regions_take_the_place_of_pixels_from_training_to_serving(data, tmp_path):
    module = train_quickly(captioning.build(tiny_config(data.folder, {}), data), 3)
    assert isinstance(module.model.see.encoder, StoredRegions)
    assert not any(name.startswith("see.encoder") for name, _ in module.model.named_parameters())
    rows = captioning.evaluate(module, data, "validation", slices=False)
    assert np.isfinite(macro(rows, "unseen")["style_match"])

    captioning.export(module, data, tmp_path)
    save_file(module.model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(tiny_config(data.folder, {}).model_dump_json())
    servable = captioning.load_servable(tmp_path)
    image = int(np.flatnonzero(data.part == 1)[0])
    file = io.BytesIO()
    Image.fromarray(data.pixels[image]).save(file, "PNG")
    seen = servable.encoder(data.pixels[image]).numpy()
    assert np.abs(seen.astype(np.float32) - data.regions[image]).max() < 0.01
    picture = module.model.see(torch.from_numpy(seen)[None])
    with torch.inference_mode():
        state = module.model.core.initial_state()
        user = module.model.user_of(state, picture, torch.zeros(1, 1, dtype=torch.long))
        nobody = module.model.nobody(picture, torch.zeros(1, 1, dtype=torch.long))
        written = module.model.write(picture, user, nobody)
    expected = module.vocabulary.text(written.word_BQT[0, 0].tolist())
    assert servable.caption(servable.initial_state(), {}, file.getvalue()).text == expected
