"""The personalisation core: one step an event when serving, whole histories at once when training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.config import PersonalizationSettings
from components.personalization.attention import MemoryAttention
from components.personalization.encoders import EventEncoder, GRUEncoder
from components.personalization.events import Encoded, Events, State
from components.personalization.running import RunningMeans


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
        query_size: int,
        residuals: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = settings.hidden
        self.settings = settings
        self.content_size = content_size
        self.residuals = residuals
        self.history = settings.history
        self.feedback = settings.history and settings.feedback
        self.user_size = hidden
        self.dropout = nn.Dropout(dropout)
        self.running = RunningMeans()
        decays = len(self.running.decays_D)
        if self.history:
            self.events = EventEncoder(content_size, kinds, residuals, hidden, self.feedback)
            self.encoder = GRUEncoder(hidden, settings.layers, dropout)
            self.from_summary = nn.Linear(hidden, hidden)
            self.from_habits = nn.Linear(decays * content_size, hidden, bias=False)
        if self.feedback:
            self.from_tastes = nn.Linear(decays * self._taste_size, hidden, bias=False)
        self.attention: MemoryAttention | None = None
        if self.history and settings.attention:
            self.attention = MemoryAttention(hidden, query_size, hidden, settings.heads, settings.window)
            self.own_query = nn.Linear(hidden, query_size)
            self.from_context = nn.Linear(hidden, hidden, bias=False)
        self.profile = nn.ModuleList(
            nn.Embedding(size, hidden) for size in (profile_sizes if settings.profile else ())
        )

    @property
    def _taste_size(self) -> int:
        return self.residuals * (1 + self.content_size)

    @property
    def trend_size(self) -> int:
        """Size of `trend`: one mean a residual and decay."""
        return len(self.running.decays_D) * self.residuals if self.feedback else 0

    def initial_state(self, batch: int = 1) -> State:
        """Return the state of `batch` users of whom nothing is known."""
        if not self.history:
            return {}
        like = self.from_summary.weight
        settings = self.settings
        state = {
            "hidden": like.new_zeros(batch, settings.layers, settings.hidden),
            "habits": self.running.initial(batch, self.content_size, like),
        }
        if self.feedback:
            state["tastes"] = self.running.initial(batch, self._taste_size, like)
        if self.attention is not None:
            state["memory"] = like.new_zeros(batch, settings.window, settings.hidden)
            state["count"] = torch.zeros(batch, dtype=torch.long, device=like.device)
        return state

    def step(self, state: State, event: Events) -> State:
        """Take in one event of each user (fields without T); the cost does not depend on the history's length."""
        if not self.history:
            return {}
        one = event.one_long()
        vector = self.events(one)
        after = {
            "hidden": self.encoder(vector, state["hidden"])[:, 0],
            "habits": self.running.step(state["habits"], event.content_BTC),
        }
        if self.feedback:
            after["tastes"] = self.running.step(state["tastes"], self._taste_rows(one)[:, 0])
        if self.attention is not None:
            slot = state["count"] % self.settings.window
            index = slot[:, None, None].expand(-1, 1, self.settings.hidden)
            after["memory"] = state["memory"].scatter(1, index, vector)
            after["count"] = state["count"] + 1
        return after

    def encode(self, events: Events) -> Encoded:
        """Compute the states after 0..T events of each history. What follows a history's end is padding."""
        vectors = self.events(events)
        start = self.initial_state(vectors.shape[0])["hidden"]
        hidden = torch.cat([start[:, None], self.encoder(vectors, start)], dim=1)
        tastes = self.running.sequence(self._taste_rows(events)) if self.feedback else None
        return Encoded(hidden, vectors, self.running.sequence(events.content_BTC), tastes)

    def state_at(self, encoded: Encoded, before_B: Tensor, users_B: Tensor | None = None) -> State:
        """Return the state that users (default: all) had after `before_B` events, ready for further steps."""
        users = torch.arange(len(before_B), device=before_B.device) if users_B is None else users_B
        state = {"hidden": encoded.hidden_BTLH[users, before_B], "habits": encoded.habits_BTDF[users, before_B]}
        if encoded.tastes_BTDF is not None:
            state["tastes"] = encoded.tastes_BTDF[users, before_B]
        if self.attention is not None:
            window = self.settings.window
            slot = torch.arange(window, device=before_B.device)
            newest = before_B[:, None] - 1
            event = newest - (newest - slot) % window
            rows = encoded.memory_BTH[users[:, None], event.clamp_min(0)]
            state["memory"] = rows * (event >= 0)[..., None]
            state["count"] = before_B
        return state

    def summary(self, source: State | Encoded, before_BQ: Tensor | None = None) -> State:
        """Pick what `user_vector` and `trend` read: of states (B, 1, ...), or of histories at `before_BQ` (B, Q, ...)."""
        if isinstance(source, Encoded):
            assert before_BQ is not None
            users = torch.arange(before_BQ.shape[0], device=before_BQ.device)[:, None]
            picked = {"hidden": source.hidden_BTLH[:, :, -1][users, before_BQ]}
            picked["habits"] = source.habits_BTDF[users, before_BQ]
            if source.tastes_BTDF is not None:
                picked["tastes"] = source.tastes_BTDF[users, before_BQ]
            return picked
        picked = {name: source[name][:, None] for name in ("habits", "tastes") if name in source}
        if "hidden" in source:
            picked["hidden"] = source["hidden"][:, None, -1]
        return picked

    def attend(
        self, source: State | Encoded, query_BQX: Tensor, before_BQ: Tensor | None = None
    ) -> Tensor | None:
        """Look among the last W events for what matters to each query: (B, Q, H), or None without attention.

        `source` is a state, or encoded histories together with the number of events before each query.
        """
        if self.attention is None:
            return None
        if isinstance(source, Encoded):
            assert before_BQ is not None
            return self.attention.sequence(query_BQX, source.memory_BTH, before_BQ)
        slot = torch.arange(self.settings.window, device=query_BQX.device)
        newest = source["count"][:, None] - 1
        age = (newest - slot) % self.settings.window
        age = age.masked_fill(age > newest, -1)
        ages = age[:, None].expand(-1, query_BQX.shape[1], -1)
        return self.attention(query_BQX, source["memory"], ages)

    def question(self, summary: State) -> Tensor:
        """What the core itself asks of the recent events when there is no content at hand."""
        return self.own_query(summary["hidden"])

    def user_vector(self, summary: State, context: Tensor | None, profile_BF: Tensor) -> Tensor:
        """Combine history, what attention found and the profile (additively) into vectors (B, Q, H)."""
        parts: list[Tensor] = []
        if self.history:
            parts.append(self.from_summary(summary["hidden"]))
            parts.append(self.from_habits(self.running.means(summary["habits"])))
        if self.feedback:
            parts.append(self.from_tastes(self.running.means(summary["tastes"])))
        if context is not None:
            parts.append(self.from_context(context))
        for field, embedding in enumerate(self.profile):
            parts.append(embedding(profile_BF[:, field])[:, None])
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return self.dropout(torch.tanh(total))

    def trend(self, summary: State) -> Tensor | None:
        """Running mean of each residual at each decay: (B, Q, trend_size), or None without feedback."""
        if not self.feedback:
            return None
        means = self.running.means(summary["tastes"])
        return means.unflatten(-1, (len(self.running.decays_D), self._taste_size))[..., : self.residuals].flatten(-2)

    def _taste_rows(self, events: Events) -> Tensor:
        valued = events.residual_BTR[..., :, None] * events.content_BTC[..., None, :]
        return torch.cat([events.residual_BTR, valued.flatten(-2)], dim=-1)
