"""Training without Lightning, which costs seconds that these tests do not need."""

import itertools

import torch


def train_quickly(module, epochs: int, most: int | None = None):
    """Train for some epochs of at most `most` batches, and take the weights over without averaging."""
    module.log = lambda *args, **keywords: None
    optimizer = module.configure_optimizers()
    for epoch in range(epochs):
        torch.manual_seed(epoch)
        for batch in itertools.islice(module.batches.epoch(epoch), most):
            optimizer.zero_grad()
            module.training_step(batch, 0).backward()
            torch.nn.utils.clip_grad_norm_(module.trained.parameters(), 1.0)
            optimizer.step()
    module.model.load_state_dict(module.trained.state_dict())
    module.model.eval()
    return module
