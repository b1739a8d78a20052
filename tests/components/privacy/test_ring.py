import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.privacy.ring import by_limbs, matmul

EXTREMES = [-(2**63), 2**63 - 1, -1, 0, 1, -(2**21), 2**21, 2**22 - 1, 2**43, -(2**43), 2**62, 2**63 - 2**21]


def drawn(generator, size, extreme):
    if extreme:
        return torch.from_numpy(generator.choice(np.array(EXTREMES, dtype=np.int64), size))
    return torch.from_numpy(generator.integers(-(2**63), 2**63 - 1, size, endpoint=True))


@pytest.mark.parametrize("product", [matmul, by_limbs])
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.booleans(), st.integers(0, 2**32))
def test_is_the_integer_product_modulo_2_to_the_64(product, rows, inner, columns, extreme, seed):
    generator = np.random.default_rng(seed)
    left, right = drawn(generator, (rows, inner), extreme), drawn(generator, (inner, columns), extreme)
    found = product(left, right)
    assert torch.equal(found, left @ right)
    assert np.array_equal(found.numpy(), left.numpy() @ right.numpy())


@pytest.mark.parametrize("value", EXTREMES)
@pytest.mark.parametrize("inner", [681, 682, 683, 2000])
def test_sums_of_the_largest_products_stay_exact(value, inner):
    """All limbs at their largest, with one sign, at the length at which float64 would begin to round."""
    left, right = torch.full((13, inner), value), torch.full((inner, 14), value)
    assert by_limbs(left, right)[3, 5].item() == (inner * value**2 + 2**63) % 2**64 - 2**63
    assert torch.equal(matmul(left, right), left @ right)


@pytest.mark.parametrize("limb", [-(2**21), 2**21 - 1])
def test_sums_of_the_largest_limbs_stay_exact(limb):
    value = limb * (1 + 2**22 + 2**44)
    value = (value + 2**63) % 2**64 - 2**63
    left = torch.full((12, 682), value)
    right = left.T.clone()
    right[0] += 1
    assert torch.equal(by_limbs(left, right), left @ right)


def test_large_matrices_and_views():
    generator = np.random.default_rng(3)
    left, right = drawn(generator, (1500, 900), False).T, drawn(generator, (1500, 40), False)[:, ::2]
    assert torch.equal(matmul(left, right), left @ right)
    assert torch.equal(matmul(left, right[:, 0]), left @ right[:, 0])


def test_other_types_and_shapes_are_refused():
    whole = torch.ones(3, 2, dtype=torch.int64)
    with pytest.raises(TypeError, match="int64"):
        matmul(whole, torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"\[3, 2\] by \[3, 2\]"):
        matmul(whole, whole)
