"""save_pretrained and from_pretrained: an exact round trip, and nothing else than that."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import MODELS

from lra_mru.model import SequenceModel


@pytest.fixture
def saved(small_model, tmp_path):
    model = small_model("hybrid")
    model.save_pretrained(tmp_path)
    return model, tmp_path


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_round_trip_is_exact(small_model, tmp_path, name, dtype):
    model = small_model(name, bidirectional=True, dropout=0.1).to(dtype).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.01)
    model.save_pretrained(tmp_path)
    again = SequenceModel.from_pretrained(tmp_path)
    assert again.settings.keys() == model.settings.keys()
    assert again.spec == model.spec
    own, loaded = model.state_dict(), again.state_dict()
    assert own.keys() == loaded.keys()
    for key, value in own.items():
        assert value.dtype == loaded[key].dtype
        assert torch.equal(value, loaded[key])
    inputs, lengths = torch.randint(0, 11, (2, 9)), torch.tensor([9, 4])
    assert torch.equal(model(inputs, lengths), again(inputs, lengths))
    assert not again.training


def test_missing_and_foreign_weights_are_named(saved):
    _, folder = saved
    weights = load_file(folder / "model.safetensors")
    weights["extra"] = weights.pop("head.bias")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"missing \['head.bias'\], foreign \['extra'\]"):
        SequenceModel.from_pretrained(folder)


def test_weights_of_another_shape_are_named(saved):
    _, folder = saved
    weights = load_file(folder / "model.safetensors")
    weights["head.bias"] = torch.zeros(9)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"head.bias has shape \(9,\), its config says \(5,\)"):
        SequenceModel.from_pretrained(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda config: config.pop("depth"), r"config.json is of another model: missing \['depth'\], foreign \[\]"),
        (lambda config: config.update(width=3), r"missing \[\], foreign \['width'\]"),
        (lambda config: config["mixers"]["lru"].update(_target_="os.system"), "config names 'os.system'"),
        (lambda config: config["mixers"]["lru"].update(_target_="lra_mru.mixers.lru.linear_scan"), "must be a mixer"),
        (lambda config: config["mixers"]["lru"].pop("_target_"), "must name its class as _target_"),
        (lambda config: config["mixers"]["lru"].update(_target_="lra_mru.mixers.no.LRU"), "must be a mixer"),
        (lambda config: config.update(mixers={"lru": None}), "must name its class as _target_"),
        (lambda config: config.update(spec=[]), "must hold names and values"),
    ],
)
def test_a_config_of_something_else_is_refused(saved, edit, message):
    _, folder = saved
    config = json.loads((folder / "config.json").read_text())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        SequenceModel.from_pretrained(folder)


@pytest.mark.parametrize("content", ["[]", "null", "3", "no JSON"])
def test_a_config_that_is_no_mapping_is_refused(saved, content):
    _, folder = saved
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"must hold names and values|Expecting value"):
        SequenceModel.from_pretrained(folder)


class Hostile:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_pickle_is_never_loaded(saved, name):
    _, folder = saved
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Hostile(folder / "owned")))
    with pytest.raises(ValueError, match=r"no safetensors file|holds no model.safetensors"):
        SequenceModel.from_pretrained(folder)
    assert not (folder / "owned").exists()


def test_a_mixer_that_no_file_can_name_is_refused(saved, tmp_path):
    model, _ = saved
    make = model.settings["mixers"]["bmru"]
    model.settings["mixers"]["bmru"] = lambda **sizes: make(**sizes)
    with pytest.raises(ValueError, match=r"only functools.partial of a Mixer class"):
        model.save_pretrained(tmp_path / "other")


def test_what_names_no_folder_is_refused():
    for wrong in (None, 5):
        with pytest.raises(TypeError, match=f"^{wrong} must be a folder or a Hub id"):
            SequenceModel.from_pretrained(wrong)
