import torch

from components.personalization.wish import Wish


def wish() -> Wish:
    torch.manual_seed(0)
    return Wish(user_size=6, styles=3, hidden=8)


def test_before_training_every_style_is_as_likely_as_another() -> None:
    guess = wish()
    guess.guess.reset_parameters()
    assert not guess.logits(torch.randn(4, 2, 6)).any()
    everyone = guess.style.weight.mean(0).expand(4, 2, 8)
    torch.testing.assert_close(guess.decided(torch.zeros(4, 2, 3)), everyone)


def test_in_training_the_truth_is_told_or_the_guess_given() -> None:
    guess = wish()
    logit, style, told = torch.randn(200, 3), torch.arange(200) % 3, torch.arange(200) % 4 == 0
    given = guess.taught(logit, style, told)
    truth, guessed = guess.style(style), logit.softmax(-1) @ guess.style.weight
    is_truth, is_guess = ((given - each).abs().amax(-1) < 1e-6 for each in (truth, guessed))
    assert (is_truth == told).all() and (is_guess == ~told).all()


def test_what_is_likely_decides_when_an_output_is_made() -> None:
    guess = wish()
    likely = torch.tensor([2.0, 0.0, -1.0])
    apart = (guess.decided(likely) - guess.style.weight[0]).norm()
    assert apart < 0.1 * (likely.softmax(-1) @ guess.style.weight - guess.style.weight[0]).norm()
