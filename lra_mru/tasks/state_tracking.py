"""state_tracking: which element do the letters so far compose to? The word problem of a small group or monoid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lra_mru.spec import NO_TARGET, TaskSpec
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import GeneratedTask
from lra_mru.tasks.machine import NO_STATE, Machine
from lra_mru.tasks.monoids import monoid
from lra_mru.tasks.parts import Array, Spans


@dataclass(kw_only=True, eq=False, repr=False)
class StateTracking(GeneratedTask):
    """At every step, the element that all letters so far compose to, in the order in which they were read.

        s[t] = table[s[t-1], x[t]],   s[-1] = the start,   y[t] = s[t]

    monoid:     z2, z16         letters 0 .. n - 1, added modulo n
                s3, s4          adjacent transpositions of 3 or 4 points
                a5              adjacent 3-cycles of 5 points
                m11             two generators of the Mathieu group on 11 points, and their inverses
                ff              identity, reset, set: the latest letter that is no identity
                dff5            ff with at most 4 identities in a row: the last 5 letters tell the answer
    p_identity: ff: share of identities at T; at other lengths p_identity_long, a longer memory. Else not used

    error_decay: in training a step that lies d steps behind the first error of its row weighs exp(-error_decay d): what
                was lost there no later step can know, and short words are learned before long ones. 0: all alike

    Letters are drawn equally often, but for ff. A recurrence that is linear in its state has one rate: it forgets old
    letters or lets errors add up, and follows at every length only what the last letters tell, such as dff5.

    Chance is one over the number of elements. Floors: latest_letter, the element of that letter alone; position, the
    likeliest element after so many letters; counted, the element of the same letters in sorted order, where that is
    another question (letters of z2 and z16 commute: counting is their whole question).

    Shapes:  (B, T) int64; targets per step
    Raises:  ValueError for an unknown monoid, or shares outside [0, 1)
    Source:  Brandoit et al., "Length-independent state tracking under a parallel scan" (2026): monoids, letters,
             T = 64, a row counts if all its steps are right (seq_acc). They draw ff's test with 0.99 identities at T
             as well
    """

    monoid: str
    p_identity: float
    p_identity_long: float
    error_decay: float

    name = "state_tracking"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._monoid = monoid(self.monoid)
        for name in ("p_identity", "p_identity_long"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be in [0, 1)")
        num_elements, num_letters = self._monoid.table.shape
        shares = f", {self.p_identity:g} and {self.p_identity_long:g} identities" if self._varies else ""
        self.variant = f"{self.monoid}, every prefix, T = {self.T}{shares}"
        self.spec = TaskSpec(
            kind="tokens",
            vocab_size=num_letters,
            num_classes=num_elements,
            max_length=self.T,
            per_step=True,
            error_decay=self.error_decay,
            chance=1 / num_elements,
        )

    @property
    def _varies(self) -> bool:
        """Whether the share of identities is a setting."""
        return self._monoid.identity is not None and self._monoid.most_identities is None

    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        letters, run = self._letters(draws, T), np.zeros(len(draws.index), dtype=np.int64)
        state = np.zeros(len(draws.index), dtype=np.int64)
        for first, last in spans:
            inputs = letters(first, last)
            if self._monoid.most_identities is not None:
                self._break_runs(inputs, letters(first, last, without_identity=True), run)
            yield inputs, self._compose(inputs, state)

    def _letters(self, draws: Draws, T: int) -> Callable[..., Array]:
        """A function (first, last) -> letters of steps first .. last - 1, (B, last - first), drawn freely."""
        num_letters, identity = self._monoid.table.shape[1], self._monoid.identity
        shares, chosen, others = draws.block(T), draws.block(T), draws.block(T)
        p = self.p_identity if T == self.T else self.p_identity_long

        def part(first: int, last: int, without_identity: bool = False) -> Array:
            if identity is None:
                return chosen.integers(num_letters, first, last)
            other = others.integers(num_letters - 1, first, last)
            other += other >= identity
            if without_identity:
                return other
            if not self._varies:
                return chosen.integers(num_letters, first, last)
            return np.where(shares.uniforms(first, last) < p, identity, other)

        return part

    def _break_runs(self, inputs: Array, others: Array, run: Array) -> None:
        """Puts another letter where a run of identities would grow too long; run (B,) is carried from part to part."""
        for t in range(inputs.shape[1]):
            too_long = (inputs[:, t] == self._monoid.identity) & (run == self._monoid.most_identities)
            inputs[too_long, t] = others[too_long, t]
            run[:] = np.where(inputs[:, t] == self._monoid.identity, run + 1, 0)

    def _compose(self, inputs: Array, state: Array) -> Array:
        """The element after every letter, (B, steps); state (B,) is carried from part to part."""
        elements = np.empty_like(inputs)
        for t in range(inputs.shape[1]):
            state[:] = elements[:, t] = self._monoid.table[state, inputs[:, t]]
        return elements

    def oracle(self, inputs: Array) -> Array:
        """Every word read from its start, by products of its maps two by two: no loop over time as in `stream`."""
        maps = self._monoid.table.T[inputs]  # (B, T, S): where each letter leads from every element
        distance = 1
        while distance < inputs.shape[1]:  # after each round a map stands for twice as many letters
            maps[:, distance:] = np.take_along_axis(maps[:, distance:], maps[:, :-distance].copy(), axis=2)
            distance *= 2
        return maps[:, :, 0]

    def shortcuts(self, inputs: Array) -> dict[str, Array]:
        position = np.broadcast_to(self._likeliest(inputs), inputs.shape)
        answers = {"latest_letter": self._monoid.table[0, inputs], "position": position}
        return answers if self._commutes() else answers | {"counted": self._counted(inputs)}

    def _commutes(self) -> bool:
        """Whether the order of letters makes no difference."""
        maps = self._monoid.table.T  # (A, S)
        return all(np.array_equal(a[b], b[a]) for a in maps for b in maps)

    def _likeliest(self, inputs: Array) -> Array:
        """The likeliest element after 1, 2, .. letters drawn as these are, (T,)."""
        table = self._monoid.table
        shares = np.bincount(inputs.ravel(), minlength=table.shape[1]) / inputs.size
        now, likeliest = np.eye(len(table))[0], []
        for _ in range(inputs.shape[1]):
            following = np.zeros_like(now)
            for letter, share in enumerate(shares):
                np.add.at(following, table[:, letter], share * now)
            now = following
            likeliest.append(int(now.argmax()))
        return np.array(likeliest)

    def _counted(self, inputs: Array) -> Array:
        """The element of each prefix's letters in sorted order."""
        answers = np.zeros_like(inputs)
        for letter in range(self._monoid.table.shape[1]):
            counts, power = (inputs == letter).cumsum(axis=1), answers.copy()
            for n in range(int(counts.max())):
                power = self._monoid.table[power, letter]
                answers = np.where(counts == n + 1, power, answers)
        return answers

    def machine(self) -> Machine:
        """The table itself; with a limit on runs of identities, a state for each element and length of the run."""
        table, most = self._monoid.table, self._monoid.most_identities
        if most is None:
            return Machine(step=table, answer=table)
        num_elements, num_letters = table.shape
        step = np.full((num_elements * (most + 1), num_letters), NO_STATE)
        answer = np.full_like(step, NO_TARGET)
        for element in range(num_elements):
            for run in range(most + 1):
                for letter in range(num_letters):
                    if letter == self._monoid.identity and run == most:
                        continue
                    following = run + 1 if letter == self._monoid.identity else 0
                    state = element * (most + 1) + run
                    step[state, letter] = table[element, letter] * (most + 1) + following
                    answer[state, letter] = table[element, letter]
        return Machine(step=step, answer=answer)
