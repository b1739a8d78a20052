"""The personalisation core: one step an event when serving, whole histories at once when training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.config import PersonalizationSettings
from components.personalization.attention import MemoryAttention
from components.personalization.encoders import ENCODERS, EventEncoder
from components.personalization.events import Encoded, Events, State
from components.personalization.running import RunningTotals, shrunk_mean


class PersonalizationCore(nn.Module):
    """Reads events and a profile; answers with a user vector and with what attention finds in recent events.

    A part that is switched off has no parameters and leaves nothing in the state. `step` and `encode` give the
    same states to 1e-5.
    """

    def __init__(
        self,
        settings: PersonalizationSettings,
        content_size: int,
        kinds: int,
        profile_sizes: Sequence[int],
        facets: int = 0,
        residuals: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = settings.hidden
        self.settings = settings
        self.content_size = content_size
        self.facets = facets
        self.residuals = residuals
        self.history = settings.history
        self.feedback = settings.history and settings.feedback
        self.user_size = hidden
        self.dropout = nn.Dropout(dropout)
        self.running = RunningTotals()
        self.decays = len(self.running.decays_D)
        if self.history:
            self.events = EventEncoder(content_size, kinds, residuals, hidden, self.feedback)
            self.encoder = ENCODERS[settings.encoder](settings, dropout)
            self.from_summary = nn.Linear(hidden, hidden)
            self.from_habits = nn.Linear(self.decays * content_size, hidden, bias=False)
        if self.feedback:
            self.from_trend = nn.Linear(self.trend_size, hidden, bias=False)
        if self.feedback and facets:
            self.from_tastes = nn.Linear(self.trend_size * facets, hidden, bias=False)
        self.attention: MemoryAttention | None = None
        if self.history and settings.attention:
            read = residuals if self.feedback else 0
            self.attention = MemoryAttention(
                content_size, hidden, read, hidden, settings.heads, settings.window
            )
            self.own_question = nn.Linear(hidden, content_size)
            self.from_context = nn.Linear(hidden, hidden, bias=False)
        self.profile = nn.ModuleList(
            nn.Embedding(size, hidden) for size in (profile_sizes if settings.profile else ())
        )

    @property
    def trend_size(self) -> int:
        """Numbers in `trend`, and in `taste` for each query: one a residual and decay."""
        return self.decays * self.residuals if self.feedback else 0

    def initial_state(self, batch: int = 1) -> State:
        """Return the state of `batch` users of whom nothing is known."""
        if not self.history:
            return {}
        like, settings = self.from_summary.weight, self.settings
        state = {"hidden": like.new_zeros(batch, *self.encoder.state_shape)}
        for name, features in self._total_sizes().items():
            state[name] = like.new_zeros(batch, self.decays, features)
        if self.attention is not None:
            state["memory"] = like.new_zeros(batch, settings.window, self.attention.memory_size)
            state["count"] = torch.zeros(batch, dtype=torch.long, device=like.device)
        return state

    def step(self, state: State, event: Events) -> State:
        """Take in one event of each user (fields without T); the cost does not depend on the history's length."""
        if not self.history:
            return {}
        one = event.one_long()
        vector = self.events(one)
        after = {"hidden": self.encoder(vector, state["hidden"])[:, 1]}
        surprise = None
        if self.feedback:
            surprise = one.residual_BTR - self._mean_residual(state["trend"][:, None])
            after["trend"] = self.running.step(state["trend"], _counted(one.residual_BTR)[:, 0])
            after["tastes"] = self.running.step(state["tastes"], _by_facet(one.facet_BTK, surprise)[:, 0])
        after["habits"] = self.running.step(state["habits"], _counted(one.content_BTC)[:, 0])
        if self.attention is not None:
            row = self._memory_rows(one, vector, surprise)
            slot = state["count"] % self.settings.window
            after["memory"] = state["memory"].scatter(1, slot[:, None, None].expand_as(row), row)
            after["count"] = state["count"] + 1
        return after

    def encode(self, events: Events) -> Encoded:
        """Compute the states after 0..T events of each history. What follows a history's end is padding."""
        assert self.history
        vectors = self.events(events)
        hidden = self.encoder(vectors, self.initial_state(vectors.shape[0])["hidden"])
        totals = {"habits": self.running.sequence(_counted(events.content_BTC))}
        surprise = None
        if self.feedback:
            totals["trend"] = self.running.sequence(_counted(events.residual_BTR))
            surprise = events.residual_BTR - self._mean_residual(totals["trend"][:, :-1])
            totals["tastes"] = self.running.sequence(_by_facet(events.facet_BTK, surprise))
        memory = (
            self._memory_rows(events, vectors, surprise) if self.attention is not None else vectors[..., :0]
        )
        return Encoded(hidden, memory, totals)

    def state_at(self, encoded: Encoded, before_B: Tensor, users_B: Tensor | None = None) -> State:
        """Return the state that users (default: all) had after `before_B` events, ready for further steps."""
        users = torch.arange(len(before_B), device=before_B.device) if users_B is None else users_B
        state = {"hidden": encoded.hidden_BTLH[users, before_B]}
        state |= {name: total[users, before_B] for name, total in encoded.totals.items()}
        if self.attention is not None:
            window = self.settings.window
            newest = before_B[:, None] - 1
            event = newest - (newest - torch.arange(window, device=before_B.device)) % window
            rows = encoded.memory_BTM[users[:, None], event.clamp_min(0)]
            state["memory"] = rows * (event >= 0)[..., None]
            state["count"] = before_B
        return state

    def summary(self, source: State | Encoded, before_BQ: Tensor | None = None) -> State:
        """Pick what the user vector is made of: at Q moments `before_BQ` of histories, or of states (Q = 1)."""
        if not isinstance(source, Encoded):
            return {name: source[name][:, None] for name in ("hidden", *self._total_sizes())}
        assert before_BQ is not None
        users = torch.arange(before_BQ.shape[0], device=before_BQ.device)[:, None]
        totals = {name: total[users, before_BQ] for name, total in source.totals.items()}
        return {"hidden": source.hidden_BTLH[users, before_BQ]} | totals

    def attend(
        self, source: State | Encoded, query_BQC: Tensor, before_BQ: Tensor | None = None
    ) -> Tensor | None:
        """Look among the last W events for what matters to each query: (B, Q, H), or None without attention.

        `source` is a state, or encoded histories together with the number of events before each query.
        """
        if self.attention is None:
            return None
        if isinstance(source, Encoded):
            assert before_BQ is not None
            return self.attention.sequence(query_BQC, source.memory_BTM, before_BQ)
        window = self.settings.window
        filled = min(window, max(1, int(source["count"].max())))
        slot = torch.arange(filled, device=query_BQC.device)
        newest = source["count"][:, None] - 1
        age = (newest - slot) % window
        age = age.masked_fill(age > newest, -1)
        return self.attention(query_BQC, source["memory"][:, :filled], age[:, None])

    def question(self, summary: State) -> Tensor:
        """What the core itself asks of the recent events when there is no content at hand, (B, Q, C)."""
        return self.own_question(self.encoder.read(summary["hidden"]))

    def user_vector(self, summary: State, context: Tensor | None, profile_BF: Tensor) -> Tensor:
        """Combine history, what attention found and the profile (additively) into vectors (B, Q, H)."""
        return self.with_profile(self.without_profile(summary, context), profile_BF)

    def without_profile(self, summary: State, context: Tensor | None) -> Tensor | None:
        """Add up what history and attention say of users, (B, Q, H); None where neither is there."""
        parts: list[Tensor] = []
        if self.history:
            parts.append(self.from_summary(self.encoder.read(summary["hidden"])))
            parts.append(self.from_habits(self.habits(summary).flatten(-2)))
        if self.feedback:
            parts.append(self.from_trend(self.trend(summary)))
            if self.facets:
                parts.append(self.from_tastes(self._taste_means(summary).flatten(-3)))
        if context is not None:
            parts.append(self.from_context(context))
        return sum(parts[1:], parts[0]) if parts else None

    def with_profile(self, found: Tensor | None, profile_BF: Tensor) -> Tensor:
        """Make user vectors of what `without_profile` has found, (B, Q, H), and of profiles."""
        parts = [] if found is None else [found]
        parts += [embedding(profile_BF[:, field])[:, None] for field, embedding in enumerate(self.profile)]
        return self.dropout(torch.tanh(sum(parts[1:], parts[0])))

    def habits(self, summary: State) -> Tensor:
        """Running mean of the content at each decay: (B, Q, D, C)."""
        content, count = summary["habits"].split([self.content_size, 1], dim=-1)
        return shrunk_mean(content, count)

    def trend(self, summary: State) -> Tensor:
        """Running mean of each residual at each decay: (B, Q, trend_size)."""
        residual, count = summary["trend"].split([self.residuals, 1], dim=-1)
        return shrunk_mean(residual, count).flatten(-2)

    def taste(self, summary: State, facet_BQK: Tensor) -> Tensor:
        """What the user's feedback on content with the same facets has been, beyond the trend: (B, Q, trend_size).

        The running means of the facets, weighted by `facet_BQK`.
        """
        weight = facet_BQK / facet_BQK.sum(-1, keepdim=True).clamp_min(1e-6)
        means_BQKX = self._taste_means(summary).transpose(2, 3).flatten(3)
        if means_BQKX.shape[1] == 1:
            return weight @ means_BQKX[:, 0]
        return torch.einsum("bqk,bqkx->bqx", weight, means_BQKX)

    def _taste_means(self, summary: State) -> Tensor:
        """(B, Q, D, K, R)."""
        total, weight = summary["tastes"].split([self.facets * self.residuals, self.facets], dim=-1)
        return shrunk_mean(total.reshape(*weight.shape, self.residuals), weight[..., None])

    def _mean_residual(self, trend: Tensor) -> Tensor:
        """The slowest running mean of each residual, (B, T, R)."""
        slowest = trend[..., -1, :]
        return shrunk_mean(slowest[..., :-1], slowest[..., -1:])

    def _memory_rows(self, events: Events, vectors_BTH: Tensor, surprise_BTR: Tensor | None) -> Tensor:
        parts = [events.content_BTC, vectors_BTH]
        return torch.cat(parts if surprise_BTR is None else [*parts, surprise_BTR], dim=-1)

    def _total_sizes(self) -> dict[str, int]:
        """Features of each running total."""
        sizes = {"habits": self.content_size + 1}
        if self.feedback:
            sizes |= {"trend": self.residuals + 1, "tastes": self.facets * (self.residuals + 1)}
        return sizes


def _counted(rows: Tensor) -> Tensor:
    """Append a column of ones, whose total is the number of events."""
    return torch.cat([rows, torch.ones_like(rows[..., :1])], dim=-1)


def _by_facet(facet_BTK: Tensor, residual_BTR: Tensor) -> Tensor:
    """Rows whose totals give the mean residual of each facet: (K * R weighted residuals | K weights)."""
    weighted = facet_BTK[..., :, None] * residual_BTR[..., None, :]
    return torch.cat([weighted.flatten(-2), facet_BTK], dim=-1)
