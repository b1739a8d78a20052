import torch

from components.personalization.modulation import AttentionBias, FusionGate


def test_untrained_modulation_is_neutral():
    user, slots = torch.randn(2, 5, 16), torch.randn(7, 4)
    assert torch.equal(AttentionBias(16, 4)(user, slots), torch.zeros(2, 5, 7))
    assert torch.equal(FusionGate(16, 3)(user), torch.ones(2, 5, 3))


def test_attention_bias_follows_interest_in_slots():
    bias = AttentionBias(2, 2)
    with torch.no_grad():
        bias.interest.weight.copy_(torch.eye(2))
    scores = bias(torch.tensor([1.0, 0.0]), torch.tensor([[3.0, 0.0], [0.0, 3.0]]))
    assert scores.tolist() == [3.0, 0.0]


def test_gates_stay_between_zero_and_two():
    gate = FusionGate(4, 3)
    torch.nn.init.normal_(gate.gate.weight, std=10)
    gates = gate(torch.randn(100, 4))
    assert gates.min() >= 0 and gates.max() <= 2
