"""From the captions that a user was shown to the events that the core reads.

Dimensions: N histories, T events, L words of a caption, G tags, K kinds of picture, M manner, P topic, C content;
the core's B is N here.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from components.data.captions import Captions
from components.personalization.events import Events, scaled_gap
from components.tasks.captioning.embedding import QuickEmbedding
from components.tasks.captioning.vocabulary import FIRST_WORD, PADDING, Vocabulary

TOPIC_SIZE = 16
MANNER_SIZE = 7
KIND_WEIGHT = 3.0
"""Weight of the kind of picture in the content: untrained attention finds events about pictures of the same kind."""
TOPIC_WEIGHT = 0.5
MANNER_WEIGHT = 0.5
REACH = 4.0
"""What manners are multiplied with where they are feedback: under Adam, how much faster these are followed."""
GAIN, SPREAD = 10.0, 0.3
"""A few seen captions change what a word says of topic and manner."""
USUAL_WORDS = 11.0
EVENT_KINDS = ("captioned",)

Indices = NDArray[np.int64]


class History(NamedTuple):
    """Captions that users were shown, oldest first; what follows a history's end is padding."""

    word_NTL: Tensor
    """Numbers of the vocabulary."""
    value_NT: Tensor
    """1 liked to -1 disliked."""
    gap_NT: Tensor


@dataclass(frozen=True)
class CaptionLog:
    """The prepared events of all users in the form that histories are cut from; E events."""

    offsets: Indices
    caption_E: Indices
    image_E: Indices
    value_E: NDArray[np.float32]
    timestamp_E: Indices
    word_CL: Indices
    """Every caption as the vocabulary numbers it."""

    @classmethod
    def of(cls, data: Captions, word_CL: Indices) -> "CaptionLog":
        """Note which picture every event is about."""
        caption = data.event_caption.astype(np.int64)
        return cls(
            offsets=data.event_offsets.astype(np.int64),
            caption_E=caption,
            image_E=data.caption_image[caption].astype(np.int64),
            value_E=np.asarray(data.event_value, np.float32),
            timestamp_E=data.event_timestamp.astype(np.int64),
            word_CL=word_CL,
        )

    def history(self, row_NT: Indices) -> History:
        """Collect histories of the events in these rows of the log; the first of each counts as without a gap."""
        row = np.minimum(row_NT, len(self.caption_E) - 1)
        time = self.timestamp_E[row]
        seconds = np.diff(time, axis=1, prepend=time[:, :1])
        return History(
            torch.from_numpy(self.word_CL[self.caption_E[row]]),
            torch.from_numpy(self.value_E[row]),
            scaled_gap(torch.from_numpy(seconds.astype(np.float32))),
        )


class CaptionEvents(nn.Module):
    """The content of an event is (kind of picture | topic | manner), all read from the caption's words.

    A picture at hand is asked of the memory in the same form: its kind and topic come from the tags that are seen in
    it, and the manner is still open (zero). What an event says about the user is the manner of a caption that was
    liked, and the opposite of one that was not.
    """

    tag_of_number_W: Tensor

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.kinds = len(vocabulary.kinds)
        self.register_buffer("tag_of_number_W", torch.from_numpy(vocabulary.tag_of_number), persistent=False)
        self.topic = QuickEmbedding(len(vocabulary.tags) + 1, TOPIC_SIZE, GAIN, SPREAD, padding_idx=0)
        self.kind = nn.Linear(TOPIC_SIZE, self.kinds)
        self.word = QuickEmbedding(vocabulary.size, MANNER_SIZE, GAIN, SPREAD, padding_idx=PADDING)
        self.to_manner = nn.Linear(MANNER_SIZE + 1, MANNER_SIZE)
        self.style = nn.Linear(MANNER_SIZE, len(vocabulary.styles))

    @property
    def content_size(self) -> int:
        """Size of an event's content."""
        return self.kinds + TOPIC_SIZE + MANNER_SIZE

    def topic_of_words(self, word: Tensor) -> Tensor:
        """The topic of captions (..., L): the mean over those of their words that are tags, (..., P)."""
        tag = self.tag_of_number_W[word]
        return self.topic(tag).sum(-2) / (tag > 0).sum(-1, keepdim=True).clamp_min(1)

    def topic_of_tags(self, tag_BG: Tensor) -> Tensor:
        """The topic of pictures by the logits of their tags, (B, P)."""
        weight = tag_BG.sigmoid()
        return weight @ (GAIN * self.topic.weight[1:]) / weight.sum(-1, keepdim=True).clamp_min(1e-3)

    def manner(self, word: Tensor) -> Tensor:
        """How captions (..., L) are put: by all of their words and by their length, (..., M)."""
        count = (word >= FIRST_WORD).sum(-1, keepdim=True).clamp_min(1)
        total = self.word(word).sum(-2) / count.sqrt()
        return torch.tanh(self.to_manner(torch.cat([total, (count / USUAL_WORDS).log()], dim=-1)))

    def kind_logits(self, topic: Tensor) -> Tensor:
        """Logits of the kinds of pictures with topics (..., P)."""
        return self.kind(topic)

    def style_logits(self, manner: Tensor) -> Tensor:
        """Logits of the styles of captions with manners (..., M)."""
        return self.style(manner)

    def query(self, tag_BG: Tensor) -> Tensor:
        """Encode pictures by the logits of their tags: (B, C)."""
        topic = self.topic_of_tags(tag_BG)
        return self._content(topic, topic.new_zeros(*topic.shape[:-1], MANNER_SIZE))

    def forward(self, history: History) -> Events:
        """Encode histories."""
        manner = self.manner(history.word_NTL)
        content = self._content(self.topic_of_words(history.word_NTL), manner)
        return Events(
            content_BTC=content,
            facet_BTK=content[..., :0],
            value_BT=history.value_NT,
            kind_BT=torch.zeros_like(history.word_NTL[..., 0]),
            gap_BT=history.gap_NT,
            residual_BTR=REACH * manner * history.value_NT[..., None],
        )

    def _content(self, topic: Tensor, manner: Tensor) -> Tensor:
        kind = F.softmax(self.kind_logits(topic), dim=-1)
        return torch.cat([KIND_WEIGHT * kind, TOPIC_WEIGHT * topic, MANNER_WEIGHT * manner], dim=-1)
