import pytest
import torch
from scipy.stats import chisquare

from components.privacy.comparison import transpose_bits
from tests.components.privacy.seats import DEALER, run


def test_bits_are_transposed():
    words = torch.randint(-(2**63), 2**63 - 1, (64, 3), generator=torch.Generator().manual_seed(1))
    words[0] = -1
    planes = transpose_bits(words)
    for i in range(64):
        for j in range(64):
            assert torch.equal((words[i] >> j) & 1, (planes[j] >> i) & 1), (i, j)
    assert torch.equal(transpose_bits(planes), words)


SIGNS = """
import torch
from components.privacy.comparison import negative
generator = np.random.default_rng(7)
edges = [-2**63, -2**63 + 1, -2**62, -2**32, -2, -1, 0, 1, 2, 2**32, 2**62, 2**63 - 1]
values = np.concatenate([np.repeat(edges, 20), generator.integers(-2**63, 2**63, 900), generator.integers(-9, 9, 99)])
shares = generator.integers(-2**63, 2**63, (parties, len(values)))
shares[0] += values - shares.sum(axis=0)
for size in [(len(values),), (3, -1), (1,), (0, 4)]:
    count = {(1,): 1, (0, 4): 0}.get(size, len(values) // 3 * 3 if size[0] == 3 else len(values))
    share = torch.from_numpy(shares[rank, :count]).reshape(size)
    found = negative(session._wire, share)
    assert found.shape == share.shape
    opened = session._open(found.reshape(-1))
    if opened is not None:
        assert opened.tolist() == (values[:count] < 0).tolist(), size
say(done=True)
"""


@pytest.mark.parametrize("parties", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4, 5))])
def test_signs_of_shared_numbers_are_right_up_to_the_largest(parties):
    said = run([SIGNS] * parties + [DEALER])
    assert all(seat.get("done") for seat in said[:parties]), said


UNMASK = """
import torch
from components.privacy.streams import Stream
Stream.ring = lambda self, size: torch.zeros(tuple(size), dtype=torch.int64)
"""

TRANSCRIPT = """
with join(seat) as session:
    import torch
    from components.privacy.comparison import negative
    seen, reduced = [], session._wire.all_reduce
    def listening(*arguments, **options):
        result = reduced(*arguments, **options)
        for part in result if isinstance(result, list) else [result]:
            seen.append(np.bincount(part.numpy().reshape(-1).view(np.uint8), minlength=256).tolist())
        return result
    session._wire.all_reduce = listening
    negative(session._wire, torch.zeros(20000, dtype=torch.int64))
    say(seen=seen)
"""


@pytest.mark.slow
def test_sanity_check_all_that_is_opened_in_a_comparison_looks_random():
    """Statistical, so it proves nothing: it would catch a mask that was forgotten."""
    hidden = run([TRANSCRIPT] * 3 + [DEALER])[0]["seen"]
    assert len(hidden) == 2 * 8 + 1
    assert all(chisquare(counts).pvalue > 1e-6 for counts in hidden)
    open_ = run([UNMASK + TRANSCRIPT] * 3 + [UNMASK + DEALER])[0]["seen"]
    assert all(chisquare(counts).pvalue < 1e-6 for counts in open_)
