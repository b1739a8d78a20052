"""The captioning model: an image encoder, a decoder, and a user who steers the decoder's attention and fusion.

Dimensions: B pictures, U users of each, N = B * U histories, T events, Q moments, H units of the core's user vector,
V vector that steers the decoder, C content of an event, S styles, W vocabulary.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from components.config import CaptioningSettings
from components.personalization.core import PersonalizationCore
from components.personalization.events import Encoded, State
from components.personalization.wish import Wish
from components.tasks.captioning.beam import Following, Written, beam_search, guided, in_question, plausible
from components.tasks.captioning.decoder import Cache, Decoder, Seen
from components.tasks.captioning.events import EVENT_KINDS, MANNER_SIZE, CaptionEvents, History
from components.tasks.captioning.image import (
    ConvolutionalEncoder,
    ImageEncoder,
    Picture,
    Sight,
    StoredRegions,
)
from components.tasks.captioning.vocabulary import END, MOST_WORDS, Vocabulary


class Viewers(NamedTuple):
    """Who looks at pictures: U users of each, what is known of them, in the order of the pictures."""

    history: History
    before_N: Tensor
    """How many events of each history are real."""
    profile_NF: Tensor
    style_N: Tensor
    """The style that each wants; read only by a model that is told, and -1 where even that one is not."""


class CaptioningModel(nn.Module):
    """Writes the caption of a picture that this user would like."""

    def __init__(
        self, settings: CaptioningSettings, vocabulary: Vocabulary, encoder: ImageEncoder | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        if encoder is None and vocabulary.regions is not None:
            encoder = StoredRegions(*vocabulary.regions)
        self.see = Sight(
            ConvolutionalEncoder(vocabulary.picture_size) if encoder is None else encoder,
            vocabulary.tag_share,
            settings.hidden,
            settings.dropout,
        )
        chosen = settings.personalization
        profile_sizes = [len(categories) for categories in vocabulary.profile_fields.values()]
        self.core: PersonalizationCore | None = None
        self.events: CaptionEvents | None = None
        self.told: nn.Embedding | None = None
        self.wish: Wish | None = None
        user_size = 0
        if chosen is not None and settings.told:
            self.told = nn.Embedding(len(vocabulary.styles) + 1, chosen.hidden)
            user_size = chosen.hidden
        elif chosen is not None and (chosen.history or (chosen.profile and profile_sizes)):
            events = CaptionEvents(vocabulary)
            user_size = chosen.hidden
            self.core = PersonalizationCore(
                chosen,
                events.content_size,
                len(EVENT_KINDS),
                profile_sizes,
                residuals=MANNER_SIZE,
                dropout=settings.dropout,
            )
            self.wish = Wish(self.core.user_size, len(vocabulary.styles), user_size)
            if self.core.history:
                self.events = events
        self.decoder = Decoder(
            vocabulary.size,
            settings.hidden,
            settings.layers,
            settings.heads,
            settings.dropout,
            user_size,
            chosen is not None and chosen.attention_modulation,
            chosen is not None and chosen.fusion_modulation,
        )

    def users(self, picture: Picture, viewers: Viewers) -> Tensor | None:
        """Describe the users of each picture: (B, U, V), or None without personalisation."""
        if self.told is not None:
            return self.told(viewers.style_N + 1).unflatten(0, (len(picture.tag_BG), -1))
        if self.core is None or self.wish is None:
            return None
        if self.events is None:
            return self.user_of({}, picture, viewers.profile_NF)
        encoded = self.core.encode(self.events(viewers.history))
        vector_N1H = self._vectors(encoded, picture, viewers.profile_NF, viewers.before_N[:, None])
        return self._steering(vector_N1H, picture)

    def guesses(self, picture: Picture, viewers: Viewers) -> Tensor:
        """Guess the style that the users of each picture want after 0 to T of their events: logits (N, T + 1, S)."""
        assert self.core is not None and self.wish is not None
        if self.events is None:
            return self.wish.logits(self._vectors({}, picture, viewers.profile_NF, None))
        encoded = self.core.encode(self.events(viewers.history))
        before = torch.arange(encoded.hidden_BTLH.shape[1], device=viewers.before_N.device)
        moments_NQ = before.expand(len(viewers.before_N), -1)
        return self.wish.logits(self._vectors(encoded, picture, viewers.profile_NF, moments_NQ))

    def user_of(self, state: State, picture: Picture, profile_NF: Tensor) -> Tensor:
        """Describe users, from states, in view of the pictures: (B, U, V)."""
        return self._steering(self._vectors(state, picture, profile_NF, None), picture)

    def _steering(self, vector_N1H: Tensor, picture: Picture) -> Tensor:
        """What steers the decoder: (B, U, V)."""
        assert self.wish is not None
        steering_NV = self.wish.decided(self.wish.logits(vector_N1H))[:, 0]
        return steering_NV.unflatten(0, (len(picture.tag_BG), -1))

    def _vectors(
        self, source: State | Encoded, picture: Picture, profile_NF: Tensor, before_NQ: Tensor | None
    ) -> Tensor:
        """User vectors (N, Q, H) from states (Q = 1), or at Q moments of encoded histories.

        What users want may depend on the picture, so that attention looks for captions of pictures like it.
        """
        core = self.core
        assert core is not None
        if self.events is None:
            return core.user_vector({}, None, profile_NF)
        context = None
        if core.attention is not None:
            query_BC = self.events.query(picture.tag_BG.detach())
            query_N1C = query_BC.repeat_interleave(len(profile_NF) // len(query_BC), dim=0)[:, None]
            moments = 1 if before_NQ is None else before_NQ.shape[1]
            context = core.attend(source, query_N1C.expand(-1, moments, -1), before_NQ)
        return core.user_vector(core.summary(source, before_NQ), context, profile_NF)

    def nobody(self, picture: Picture, profile_NF: Tensor) -> Tensor | None:
        """Describe users of whom nothing but the profile is known: (B, U, V), or None without personalisation."""
        if self.told is not None:
            unknown = torch.zeros(len(profile_NF), dtype=torch.long, device=profile_NF.device)
            return self.told(unknown).unflatten(0, (len(picture.tag_BG), -1))
        if self.core is None:
            return None
        return self.user_of(self.core.initial_state(len(profile_NF)), picture, profile_NF)

    def write(self, picture: Picture, user_BUV: Tensor | None, nobody_BUV: Tensor | None) -> Written:
        """Write captions by beam search: one a user, or one a picture where there are no users.

        Captions are guided away from what `nobody_BUV` would get without a look at the picture.
        """
        users = 1 if user_BUV is None else user_BUV.shape[1]
        streams = [Stream(self.decoder, picture.region_BRH, user_BUV)]
        if self.settings.guidance != 1:
            streams.append(Stream(self.decoder, self.see.unseen(len(picture.tag_BG)), nobody_BUV))
        search = Search(streams, self.settings.guidance)
        shape = (len(picture.tag_BG), users)
        beam, length_penalty = self.settings.beam, self.settings.length_penalty
        return beam_search(search, shape, beam, length_penalty, MOST_WORDS, picture.tag_BG.device)


class Search:
    """Drives the decoder for beam search: one stream, or one guided away from the other. A caption has a word."""

    def __init__(self, streams: Sequence["Stream"], guidance: float) -> None:
        self.streams = streams
        self.guidance = guidance

    def step(self, word_BUK: Tensor, parent_BUK: Tensor | None) -> Following:
        """Say what may come next; what nobody would write is asked only of words that come into question."""
        user = self.streams[0]
        logit_BUKW = user.decoder.logits(user.read(word_BUK, parent_BUK))
        if parent_BUK is None:
            logit_BUKW[..., END] = -math.inf
        if len(self.streams) == 1:
            every_W = torch.arange(logit_BUKW.shape[-1], device=logit_BUKW.device)
            return Following(logit_BUKW.log_softmax(-1), every_W)
        plausible_BUKW = plausible(logit_BUKW)
        word_C = in_question(plausible_BUKW)
        nobody = self.streams[1]
        logit_BUKC = nobody.decoder.logits(nobody.read(word_BUK, parent_BUK), word_C)
        chosen = logit_BUKW[..., word_C], logit_BUKC, plausible_BUKW[..., word_C]
        return Following(guided(*chosen, self.guidance), word_C)


class Stream:
    """What one kind of reader would write next, hypothesis by hypothesis; keys and values are kept."""

    def __init__(self, decoder: Decoder, region_BRH: Tensor, user_BUV: Tensor | None) -> None:
        self.decoder = decoder
        self.region_BRH = region_BRH
        self.user_BUV = user_BUV
        self.seen: list[Seen] = []
        self.caches: list[Cache] | None = None

    def read(self, word_BUK: Tensor, parent_BUK: Tensor | None) -> Tensor:
        """Read one more word of every hypothesis, after what its parent has read: states (B, U, K, H)."""
        beam = word_BUK.shape[2]
        if not self.seen:
            user = None if self.user_BUV is None else self.user_BUV.repeat_interleave(beam, dim=1)
            self.seen = self.decoder.look(self.region_BRH, user)
        if parent_BUK is not None and self.caches is not None:
            self.caches = [_inherited(cache, parent_BUK) for cache in self.caches]
        state, self.caches = self.decoder.step(self.seen, word_BUK.flatten(1), self.caches)
        return state.unflatten(1, (-1, beam))


def _inherited(cache: Cache, parent_BUK: Tensor) -> Cache:
    """Give every hypothesis what its parent has read."""
    batch, users, beam = parent_BUK.shape
    first = torch.arange(batch * users, device=parent_BUK.device)[:, None] * beam
    row = (first + parent_BUK.flatten(0, 1)).flatten()
    key, value = (
        kept.flatten(0, 1).index_select(0, row).unflatten(0, (batch, users * beam)) for kept in cache
    )
    return Cache(key, value)
