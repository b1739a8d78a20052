"""Every kind of broken file gets a message at the right place that says what to do."""

# A table reads best with a row a case.
# ruff: noqa: E501

from pathlib import Path

import pytest

from orchestrator.spec.load import SpecErrors, load_sweep

HEAD = "name: demo\ntask: recommendation\ndata: {source: synthetic}\n"
TABLE = "name: demo\ntask: recommendation\ndata:\n  source: table\n  events: events.csv\n"
LISTS = "".join(
    f"  {path}: [{', '.join(str((i + 1) / 1000) for i in range(100))}]\n"
    for path in ("training.learning_rate", "training.weight_decay", "model.dropout")
)
SEARCH = "search:\n  method: random\n  trials: 4\n  space:\n    training.learning_rate: {log_uniform: [1e-4, 1e-2]}\n"
BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)

# What is broken: the file, the line and the column, and a part of the message.
BROKEN: dict[str, tuple[str | bytes, int, int, str]] = {
    # the text
    "empty file": ("", 1, 1, "the file is empty; expected keys such as `name`"),
    "only a comment": ("# nothing\n", 1, 1, "the file is empty"),
    "a list": ("- name: demo\n", 1, 1, "expected `key: value` lines"),
    "a word": ("demo\n", 1, 1, "expected `key: value` lines"),
    "not UTF-8": (HEAD.encode() + b"tracking: {project: caf\xe9}\n", 4, 24, "byte 0xe9 is not UTF-8"),
    "UTF-16": (HEAD.encode("utf-16"), 1, 1, "the file is UTF-16: save it as UTF-8"),
    "control character": (HEAD + "tracking: {project: \x07}\n", 4, 21, "character 0x07 is not allowed"),
    # the syntax
    "tab as indentation": (HEAD + "training:\n\tepochs: 3\n", 5, 1, "a tab: YAML is indented"),
    "tab as separator": (HEAD + "training:\tx\n", 4, 10, "a tab: YAML is indented"),
    "no colon": (HEAD + "training\n", 4, 1, "the `: ` is missing"),
    "second colon": ("name: a: b\n", 1, 8, "a `:` that belongs to no key"),
    "indentation": (HEAD + "training:\n    epochs: 3\n  seed: 4\n", 6, 3, "the indentation fits none"),
    "open quote": (HEAD + "tracking: {project: 'x}\n", 4, 21, "the quote that is opened here is never closed"),
    "open list": (HEAD + "seeds: [0, 1\ncontrols: []\n", 5, 9, "expected `,` or `]`"),
    "malformed variable in braces": (
        "name: demo\ntask: question-answering\ndata: {source: squad, root: ${A-b}/squad}\n", 3, 30,
        "opened in line 3: a `{` or `[` starts a section or list here; quote the value, or write one `key: value` a line",
    ),
    "braces that are no variable": (
        HEAD + "tracking: {project: {A}/b}\n", 4, 24, "starts a section or list here; quote the value",
    ),
    "bare at-sign": (HEAD + "tracking: {project: @x}\n", 4, 21, "must be quoted"),
    "escape of half a character": (HEAD + 'name2: "\\ud800"\n', 4, 8, "half a character"),
    "escape beyond Unicode": (HEAD + 'tracking: {project: "\\UFFFFFFFF"}\n', 4, 24, "too large"),
    "unknown directive version": ("%YAML 3.0\n---\nname: x\n", 1, 1, "incompatible YAML document"),
    "two documents": (HEAD + "---\nname: two\n", 4, 1, "a second document starts here"),
    "duplicate key": (HEAD + "name: other\n", 4, 1, "the key 'name' stands twice, first in line 1"),
    "number as key": (HEAD + "1: 2\n", 4, 1, "expected a name as key, got 1"),
    "list as key": (HEAD + "? [a]\n: 2\n", 4, 3, "cannot be a key"),
    "language tag": (HEAD + "training: !!python/object:os.system {}\n", 4, 11, "`!!python/object:os.system` is refused"),
    "own tag": (HEAD + "seeds: !mine [0]\n", 4, 8, "the tag `!mine` is refused"),
    "merge key": (HEAD + "training: &t {epochs: 3}\nmodel: {<<: *t}\n", 5, 9, "merge keys"),
    "unknown alias": (HEAD + "training: *nothing\n", 4, 11, "`*nothing` stands for nothing yet"),
    "recursive alias": (HEAD + "ablations: &a {x: *a}\n", 4, 19, "`*a` stands for nothing yet"),
    "exploding aliases": (BOMB, 5, 4, "its aliases expand to more than 100,000 values"),
    "nested too deep": ("a: " + "[" * 100_000, 1, 36, "nested more than 32 levels deep"),
    "infinity": (HEAD + "training: {learning_rate: .inf}\n", 4, 27, "not a finite number"),
    "number too large": (HEAD + f"seeds: [{'9' * 5000}]\n", 4, 9, "not a finite number below 2^63"),
    "unset variable": (HEAD + "tracking: {project: ${NO_SUCH_NAME}}\n", 4, 21, "NO_SUCH_NAME is not set"),
    "malformed variable": (HEAD + 'tracking: {project: "${A-b}"}\n', 4, 21, "expected a variable's name"),
    # the keys
    "missing key": ("name: demo\ndata: {source: synthetic}\n", 1, 1, "the key 'task' is missing"),
    "unknown key": (HEAD + "colour: red\n", 4, 1, "unknown key 'colour'"),
    "misspelt key": (HEAD + "training: {epohcs: 3}\n", 4, 12, "did you mean 'epochs'?"),
    "abbreviated key": (HEAD + "training: {lr: 3}\n", 4, 12, "did you mean 'learning_rate'?"),
    "key in the wrong section": (HEAD + "epochs: 3\n", 4, 1, "did you mean 'training.epochs'?"),
    "no source": ("name: demo\ntask: recommendation\ndata: {users: 50}\n", 3, 1, "expected synthetic, movielens, table, squad, flickr8k or flickr30k"),
    "unknown source": ("name: demo\ntask: recommendation\ndata: {source: movielns}\n", 3, 16, "did you mean 'movielens'?"),
    "unknown task": ("name: demo\ntask: recomendation\ndata: {source: synthetic}\n", 2, 7, "did you mean 'recommendation'?"),
    "name that is no name": ("name: My Sweep\ntask: recommendation\ndata: {source: synthetic}\n", 1, 7, "lower-case"),
    # the values
    "wrong type": (HEAD + "training: {epochs: many}\n", 4, 20, "expected a whole number of at least 1, got 'many'"),
    "nan": (
        HEAD + "grid: {training.learning_rate: [nan, 0.1]}\n", 4, 33, "above 0 and of at most 10, got 'nan', which is not a finite number",
    ),
    "infinity as text": (HEAD + "training: {weight_decay: -inf}\n", 4, 26, "got '-inf', which is not a finite number"),
    "quoted number": (HEAD + 'training: {epochs: "20"}\n', 4, 20, "got '20': remove the quotes"),
    "broken number": (HEAD + "training: {epochs: 1e1}\n", 4, 20, "got 10.0: write 10"),
    "negative epochs": (HEAD + "training: {epochs: -1}\n", 4, 20, "expected a whole number of at least 1, got -1"),
    "yes": (HEAD + "tracking: {enabled: yes}\n", 4, 21, "expected true or false, got 'yes' (YAML 1.2"),
    "number as text": (HEAD + "tracking: {project: 12}\n", 4, 21, 'expected text, got 12: write "12"'),
    "unknown choice": (HEAD + "training: {precision: bf16}\n", 4, 23, "did you mean 'bf16-mixed'?"),
    "text for a list": (HEAD + "controls: shuffled-users\n", 4, 11, "write [shuffled-users]"),
    "null for a section": (HEAD + "model:\n", 4, 7, "expected a section, got null"),
    "no seeds": (HEAD + "seeds: []\n", 4, 8, "expected at least one value"),
    "one seed twice": (HEAD + "seeds: [0, 0]\n", 4, 12, "0 stands in the list twice"),
    "unknown control": (HEAD + "controls: [shuffled-user]\n", 4, 12, "did you mean 'shuffled-users'?"),
    "metric of another task": (HEAD + "objective: {metric: bleu}\n", 4, 21, "expected one of"),
    "wrong direction": (HEAD + "objective: {metric: log_loss, mode: max}\n", 4, 37, "a lower log_loss is better"),
    "heads and hidden": (HEAD + "model:\n  personalization:\n    heads: 3\n", 6, 12, "does not divide `hidden` 128"),
    "heads without units": (HEAD + "model:\n  personalization:\n    hidden: 8\n", 6, 13, "leaves each head 2 of the 8 units"),
    "workers of a batch that is one": ("name: demo\ntask: captioning\ndata: {source: synthetic}\nresources: {workers: 2}\n", 4, 22, "a batch of captioning cannot be shared out among workers without training something else; use 1 (more than one works for recommendation and question-answering)"),
    "a model that is told": ("name: demo\ntask: captioning\ndata: {source: synthetic}\nmodel: {told: true}\n", 4, 15, "make it an ablation: `oracle: {model.told: true}`"),
    "shared processor": (HEAD + "resources: {gpu: 1.5}\n", 4, 18, "`gpu` 1.5 is neither whole nor below 1"),
    "gate without a bound": (HEAD + "promote:\n  gates: [{metric: auc}]\n", 5, 11, "the gate has no bound"),
    "gate that none passes": (
        HEAD + "promote:\n  gates: [{metric: auc, min: 3, max: 2}]\n", 5, 30, "no value can pass",
    ),
    "ratings upside down": (TABLE + "  rating_range: [5, 1]\n", 6, 17, "write the lowest first"),
    "threshold out of range": (TABLE + "  like_threshold: 9\n", 6, 19, "outside `rating_range` 1 to 5"),
    "one end of a range": (TABLE + "  rating_range: [1]\n", 6, 17, "expected a list of 2 numbers, got 1"),
    # the grid
    "unknown path": (HEAD + "grid:\n  training.lr: [1]\n", 5, 3, "did you mean 'learning_rate'?"),
    "path without its section": (HEAD + "grid:\n  epochs: [1]\n", 5, 3, "did you mean 'training.epochs'?"),
    "path to a section": (HEAD + "grid:\n  training: {epochs: [1]}\n", 5, 3, "name one in it"),
    "path into null": (
        HEAD + "model: {personalization: null}\ngrid:\n  model.personalization.hidden: [8]\n", 6, 3, "is null, so it has no",
    ),
    "path into a value": (HEAD + "grid:\n  training.epochs.x: [1]\n", 5, 3, "'training.epochs' has no setting 'x'"),
    "grid over data": (HEAD + "grid:\n  data.users: [50]\n", 5, 3, "a sweep has one data set"),
    "grid over seeds": (HEAD + "grid:\n  training.seed: [0, 1]\n", 5, 3, "list them under `seeds`"),
    "empty grid": (HEAD + "grid:\n  training.epochs: []\n", 5, 3, "no values: give a whole number"),
    "one value for a list": (HEAD + "grid:\n  training.epochs: 3\n", 5, 20, "write [3]"),
    "wrong value in a grid": (HEAD + "grid:\n  training.epochs: [1, two]\n", 5, 24, "got 'two'"),
    "same value twice": (HEAD + "grid:\n  training.learning_rate: [0.001, 1e-3]\n", 5, 35, "0.001 stands in the list twice"),
    "path inside another": (
        HEAD + "grid:\n  model.personalization: [{}]\n  model.personalization.hidden: [8]\n", 6, 3, "keep one of them",
    ),
    "values that clash": (
        HEAD + "grid:\n  model.personalization.hidden: [96, 128]\n  model.personalization.heads: [3, 4]\n",
        6, 3, "`heads` 3 does not divide `hidden` 128",
    ),
    "ten million trials": (HEAD + f"grid:\n{LISTS}seeds: {list(range(10))}\n", 4, 1, "10,000,000 trials"),
    # the search, and stopping
    "unknown method": (HEAD + SEARCH.replace("random", "randm"), 5, 11, "did you mean 'random'?"),
    "search without trials": (HEAD + SEARCH.replace("  trials: 4\n", ""), 4, 1, "the key 'search.trials' is missing"),
    "search of nothing": (HEAD + "search: {method: random, trials: 4, space: {}}\n", 4, 37, "expected at least one key, got an empty section"),
    "key of another method": (HEAD + SEARCH.replace("  trials: 4\n", "  trials: 4\n  batch: 2\n"), 7, 3, "unknown key 'batch'"),
    "unknown searched path": (HEAD + SEARCH.replace("learning_rate", "lr"), 8, 5, "did you mean 'learning_rate'?"),
    "search over seeds": (HEAD + SEARCH + "    training.seed: {int: [0, 4]}\n", 9, 5, "list them under `seeds`"),
    "unknown distribution": (HEAD + SEARCH.replace("log_uniform", "loguniform"), 8, 30, "did you mean 'log_uniform'?"),
    "no distribution": (HEAD + SEARCH.replace("{log_uniform: [1e-4, 1e-2]}", "{}"), 8, 5, "give one of `uniform`"),
    "two distributions": (HEAD + SEARCH.replace("{log", "{choice: [1], log"), 8, 56, "keep one of them"),
    "list for a distribution": (HEAD + SEARCH.replace("{log_uniform: [1e-4, 1e-2]}", "[1, 2]"), 8, 29, "expected a section"),
    "range upside down": (HEAD + SEARCH.replace("1e-4, 1e-2", "1e-2, 1e-4"), 8, 43, "write the lower bound first"),
    "logarithm of zero": (
        HEAD + SEARCH.replace("learning_rate", "weight_decay").replace("1e-4", "0"), 8, 42, "needs bounds above 0",
    ),
    "range beyond the setting": (HEAD + SEARCH.replace("1e-2]", "100]"), 8, 50, "of at most 10"),
    "fractions for whole numbers": (
        HEAD + SEARCH.replace("learning_rate: {log_uniform: [1e-4, 1e-2]", "epochs: {uniform: [1, 4]"), 8, 23, "use `int` instead",
    ),
    "choice of the wrong type": (HEAD + SEARCH + "    training.epochs: {choice: [1, two]}\n", 9, 35, "got 'two'"),
    "same choice twice": (HEAD + SEARCH + "    training.epochs: {choice: [2, 2]}\n", 9, 35, "stands in the list twice"),
    "searched values that clash": (
        HEAD + SEARCH + "    model.personalization.hidden: {int: [64, 128]}\n", 9, 5, "`heads` 4 does not divide `hidden` 65",
    ),
    "searched and listed": (
        HEAD + SEARCH + "grid:\n  training.learning_rate: [0.1]\n", 8, 5, "keep 'training.learning_rate' in one of them",
    ),
    "suggestions over a grid": (
        HEAD + SEARCH.replace("random", "optuna") + "grid:\n  training.epochs: [1, 2]\n", 9, 1, "several: move these paths",
    ),
    "ablation of what is searched": (
        HEAD + SEARCH + "ablations:\n  slow: {training.learning_rate: 1e-5}\n", 10, 10, "is searched, and an ablation",
    ),
    "ablation that replaces what is searched": (
        HEAD + SEARCH + "    model.personalization.hidden: {choice: [64, 128]}\n"
        + "ablations:\n  small: {model.personalization: {hidden: 64}}\n", 11, 11, "is searched, and an ablation",
    ),
    "stop of one point": (HEAD + "stop: {method: asha}\n", 4, 1, "there is only one"),
    "stop over a grid of epochs": (
        HEAD + "grid:\n  training.epochs: [4, 8]\nstop: {method: asha}\n", 5, 3, "`stop` decides how long",
    ),
    "stop over searched epochs": (
        HEAD + SEARCH + "    training.epochs: {int: [4, 8]}\nstop: {method: median}\n", 9, 5, "`stop` decides how long",
    ),
    "stop that comes too late": (
        HEAD + SEARCH + "training: {epochs: 4}\nstop: {method: asha, grace_period: 4}\n", 10, 22, "leaves nothing to stop",
    ),
    "ten million drawn trials": (HEAD + SEARCH.replace(": 4", ": 90000") + "grid: {training.epochs: [1, 2]}\n", 6, 3, "180,000 trials"),
    # the ablations
    "ablation without effect": (
        HEAD + "ablations:\n  same: {model.personalization.attention: true}\n", 5, 3, "changes nothing",
    ),
    "ablation of nothing": (HEAD + "ablations:\n  none: {}\n", 5, 3, "changes nothing: it is empty"),
    "ablation that may win": (
        HEAD + "grid:\n  training.epochs: [1, 2]\n  model.personalization.attention: [true, false]\n"
        + "ablations:\n  no-attention: {model.personalization.attention: false}\n",
        8, 3, "`grid` tries false of 'model.personalization.attention' for the model",
    ),
    "baseline that may win": (
        HEAD + "grid:\n  model.personalization.attention: [true, false]\n"
        + "ablations:\n  baseline: {model.personalization.attention: false}\n",
        7, 3, "so the baseline may be the model itself",
    ),
    "section that may win": (
        HEAD + "grid: {model.personalization.hidden: [32, 64]}\n"
        + "ablations:\n  small: {model.personalization: {hidden: 32}}\n",
        6, 3, "`grid` tries 32 of 'model.personalization.hidden' for the model",
    ),
    "ablation that is another one": (
        HEAD + "ablations:\n  one: {model.dropout: 0.5}\n  two: {model.dropout: 0.5}\n",
        6, 3, "the ablation 'two' trains the same as the ablation 'one', with nothing to compare",
    ),
    "ablation that is the baseline": (
        HEAD + "ablations:\n  baseline: {model.dropout: 0.5}\n  two: {model.dropout: 0.5}\n",
        6, 3, "the ablation 'two' trains the same as the baseline",
    ),
    "ablation that is the baseline, which the grid does not vary": (
        HEAD + "grid: {model.personalization.hidden: [32, 64]}\nablations:\n  two: {model.personalization: null}\n",
        6, 3, "the ablation 'two' trains the same as the baseline",
    ),
    "ablation that may win as a part is silent": (
        HEAD + "grid: {model.personalization.history: [true, false]}\nablations:\n"
        + "  two: {model.personalization.history: false, model.personalization.attention: false}\n",
        6, 3, "`grid` tries false of 'model.personalization.history' for the model",
    ),
    "ablations that differ in what is silent": (
        HEAD + "ablations:\n  one: {model.personalization.history: false}\n"
        + "  two: {model.personalization.history: false, model.personalization.attention: false}\n",
        6, 3, "the ablation 'two' trains the same as the ablation 'one'",
    ),
    "ablation of what is silent": (
        HEAD + "model: {personalization: {history: false}}\nablations:\n  mute: {model.personalization.feedback: false}\n",
        6, 3, "'model.personalization.feedback' has no effect while 'model.personalization.history' is off",
    ),
    "misspelt ablation": (
        HEAD + "ablations:\n  no-history: {model.personalization.histroy: false}\n", 5, 16, "did you mean 'history'?",
    ),
    "name of another row": (HEAD + "ablations:\n  item-bias: {model.dropout: 0.5}\n", 5, 3, "belongs to another row"),
    "name of the row that knows the truth": (
        HEAD.replace("recommendation", "captioning") + "ablations:\n  human: {model.beam: 1}\n", 5, 3, "'human' belongs to another row",
    ),
    "ablation that clashes": (
        HEAD + "ablations:\n  odd: {model.personalization.heads: 3}\n", 5, 9, "does not divide `hidden` 128",
    ),
    "modality that the data lacks": (
        HEAD + "model:\n  modalities: {poster: true}\n", 5, 16, "`model.modalities.poster` is on, and the data comes",
    ),
    "ablation that the data lacks": (
        HEAD + "ablations:\n  seen: {model.modalities.overview: true}\n", 5, 10, "set `data.overviews`",
    ),
    "grid that the data lacks": (HEAD + "grid:\n  model.modalities.poster: [false, true]\n", 5, 3, "set `data.posters`"),
    "content that cannot stand in": (
        HEAD + "model:\n  modalities: {title: false, genres: false}\n  cold_start: true\n", 6, 15, "all of `modalities` are off",
    ),
    "comparison with nothing": (HEAD + "compare: {against: basline}\n", 4, 20, "did you mean 'baseline'?"),
    "nothing to compare": (HEAD + "model: {personalization: null}\n", 4, 9, "so nothing differs from the baseline"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_one_located_message(kind: str, tmp_path: Path):
    content, line, column, fragment = BROKEN[kind]
    file = tmp_path / "sweep.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SpecErrors) as refusal:
        load_sweep(file)
    found = {(error.line, error.column): error.message for error in refusal.value.errors}
    assert (line, column) in found
    assert fragment in found[line, column]
    assert str(refusal.value).startswith(f"{file}:")


def test_there_are_no_follow_up_errors(tmp_path: Path):
    """A file with one mistake gets one message; these few have two places to complain about."""
    several = {"exploding aliases", "path into null", "escape of half a character", "missing key"}
    for kind, (content, *_) in BROKEN.items():
        file = tmp_path / "sweep.yaml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(SpecErrors) as refusal:
            load_sweep(file)
        assert len(refusal.value.errors) == 1 or kind in several, (kind, str(refusal.value))


def test_all_errors_at_once_in_the_order_of_the_lines(tmp_path: Path):
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: Demo\n"
        "task: recommendation\n"
        "data: {source: synthetic, users: few}\n"
        "training: {epochs: ${NO_SUCH_NAME}, seed: !!int 0}\n"
        "grid: {training.lr: [1]}\n"
        "ablations: {none: {}}\n"
        "objective: {metric: acc}\n"
    )
    with pytest.raises(SpecErrors) as refusal:
        load_sweep(file, ["seeds=[x]", "seed"])
    errors = refusal.value.errors
    assert [error.line for error in errors] == [None, None, 1, 3, 4, 4, 5, 6, 7]
    assert [error.path for error in errors[:2]] == ["--set seed", "--set seeds=[x]"]


@pytest.mark.parametrize("kind", ["missing", "folder", "unreadable name", "huge"])
def test_files_that_cannot_be_read(kind: str, tmp_path: Path):
    (tmp_path / "sweep.yaml").write_text(HEAD)
    (tmp_path / "huge").write_bytes(b"#" * 10_000_000)
    path, fragment = {
        "missing": (tmp_path / "swep.yaml", "no such file; did you mean 'sweep.yaml'?"),
        "folder": (tmp_path, "this is a folder; expected a YAML file"),
        "unreadable name": (Path("a\0b"), "cannot be read"),
        "huge": (tmp_path / "huge", "larger than 256 KiB"),
    }[kind]
    with pytest.raises(SpecErrors) as refusal:
        load_sweep(path)
    assert fragment in str(refusal.value)


@pytest.mark.parametrize("name", ["nosuch.yaml", "quickstart.yaml", "nosuch/quickstart.yaml"])
def test_only_a_close_name_is_suggested(name: str, tmp_path: Path):
    for other in ("cluster.yaml", ".pre-commit-config.yaml"):
        (tmp_path / other).write_text(HEAD)
    with pytest.raises(SpecErrors) as refusal:
        load_sweep(tmp_path / name)
    assert str(refusal.value) == f"{tmp_path / name}: no such file"


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SpecErrors, match="cannot be read: Permission denied"):
        load_sweep(tmp_path / "sweep.yaml")
