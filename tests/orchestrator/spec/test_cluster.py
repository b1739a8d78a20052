"""Cluster files are checked against the schema that Ray ships."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.spec.cluster import check_cluster, is_cluster
from orchestrator.spec.problems import SpecErrors

ROOT = Path(__file__).parents[3]
HEAD = "cluster_name: demo\nprovider: {type: aws}\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("cluster_name: demo\n", 1, 1, "the key 'provider' is missing"),
        (HEAD + "max_wokers: 3\n", 3, 1, "unknown key 'max_wokers'; did you mean 'max_workers'?"),
        (HEAD + "max_workers: many\n", 3, 14, "expected a whole number, got 'many'"),
        (HEAD + "max_workers: -1\n", 3, 14, "expected at least 0, got -1"),
        (HEAD + "setup_commands: pip list\n", 3, 17, "expected a list, got 'pip list'"),
        (HEAD + "auth:\n  ssh_usr: me\n", 4, 3, "did you mean 'ssh_user'?"),
        (HEAD + "available_node_types:\n  head: {node_config: {}}\n", 4, 3, "the key 'resources' is missing"),
        (
            HEAD + "head_node_type: haed\navailable_node_types:\n  head: {resources: {}, node_config: {}}\n",
            3, 17, "`head_node_type` 'haed' is not in `available_node_types`; did you mean 'head'?",
        ),
    ],
)  # fmt: skip
def test_broken_cluster_files(text: str, line: int, column: int, message: str, tmp_path: Path):
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    assert is_cluster(file)
    with pytest.raises(SpecErrors) as refusal:
        check_cluster(file)
    (error,) = refusal.value.errors
    assert (error.line, error.column) == (line, column)
    assert message in error.message


def test_shell_variables_stay_as_they_are(tmp_path: Path):
    file = tmp_path / "cluster.yaml"
    file.write_text(HEAD + "setup_commands: ['echo ${NO_SUCH_NAME} $HOME']\n")
    check_cluster(file)


def test_the_shipped_cluster_file():
    check_cluster(ROOT / "cluster.yaml")
    text = (ROOT / "cluster.yaml").read_text()
    assert "RAY_AUTH_MODE=token" in text and "/shared" in text


def test_ray_is_not_imported():
    code = f"from pathlib import Path; import sys; from orchestrator.spec.cluster import check_cluster; \
check_cluster(Path({str(ROOT / 'cluster.yaml')!r})); sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
