"""What the paper reports of its three tasks, to stand beside what is measured here. Targets to test, not facts.

"Adaptive multimodal models for personalized user experiences", sections 6.1 to 6.4. Each number is in the unit
of the metric that it belongs to: shares between 0 and 1, ratings between 1 and 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Claim:
    """What is reported of one metric."""

    metric: str
    """Name of the task's metric that comes closest."""
    model: float
    baseline: float
    significance: str = "not stated"
    """What is said of the difference between the two, such as `p < .05`."""
    ablations: Mapping[str, float] = field(default_factory=dict)
    """Value by name of the ablation, as sweeps call it."""


@dataclass(frozen=True)
class Claims:
    """What is reported of one task."""

    source: str
    """Where the numbers stand."""
    data: str
    """On which data they are said to be measured."""
    sources: tuple[str, ...]
    """Sources of data that come close to it; beside the others the numbers would mean nothing."""
    rows: tuple[Claim, ...]
    note: str = ""
    """What a reader of these numbers should know of them, in a sentence."""


CAPTIONING = Claims(
    source="sections 6.1 and 6.4",
    data="Flickr30k with added user-specific captions",
    sources=("flickr8k", "flickr30k"),
    rows=(
        Claim("bleu4", 0.285, 0.253, "p < .05", {"no-attention": 0.261}),
        Claim("satisfaction", 4.3, 3.7),
    ),
    note="How the paper collected its ratings of satisfaction is not said; here satisfaction is simulated.",
)

RECOMMENDATION = Claims(
    source="sections 6.2 and 6.4",
    data="MovieLens, of which it is not said which",
    sources=("movielens",),
    rows=(
        Claim("accuracy", 0.824, 0.789, "p < .01", {"no-attention": 0.793}),
        Claim("precision", 0.85, 0.82),
        Claim("recall", 0.80, 0.76),
        # not in the paper: what follows from its precision and recall
        Claim("f1", 2 * 0.85 * 0.80 / (0.85 + 0.80), 2 * 0.82 * 0.76 / (0.82 + 0.76), "not reported"),
    ),
    note=(
        "The paper's accuracy equals, in both columns, the F1 of its own precision and recall, "
        "which it does not report; here the two are measured apart."
    ),
)

QUESTION_ANSWERING = Claims(
    source="sections 6.3 and 6.4",
    data="SQuAD with answers changed to reflect user preferences",
    sources=("squad",),
    rows=(
        Claim("em", 0.756, 0.721, "p < .05"),
        Claim("f1", 0.783, 0.750, "p < .05", {"no-attention": 0.755}),
    ),
    note="The paper promises satisfaction of question answering and does not report it.",
)
