"""Trials until there are enough: start, watch, stop early, tell."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.trial import TrialState

from data_prep.common.json_files import read_json
from data_prep.common.output import put_line as say  # the console's own would import Lightning
from lra_mru.engine.errors import ConfigError, Interrupted, RunError
from lra_mru.engine.sweep.objectives import Objective, measured, values_of
from lra_mru.engine.sweep.study import Trials
from lra_mru.engine.sweep.trial_process import TrialProcess

POLL_S = 0.2
GRACE_S = 60  # for a trial that saves its checkpoint
HOPELESS = 3  # so many failures before the first success are no accident


class Loop:
    """Runs trials of one study in `jobs` processes at once.

    fixed:  overrides that every trial shares; logs: folder of their output
    target: end once the first objective reaches it
    saved:  called after every trial that ends, so that a killed sweep loses nothing
    """

    def __init__(
        self,
        trials: Trials,
        *,
        objectives: list[Objective],
        fixed: list[str],
        logs: Path,
        num_trials: int,
        jobs: int,
        saved: Callable[[], object],
    ) -> None:
        self.trials, self.study, self.objectives = trials, trials.study, objectives
        self.fixed, self.logs, self.num_trials, self.jobs, self.saved = fixed, logs, num_trials, jobs, saved
        self.waiting = [(t.number, trials.overrides_of(t)) for t in trials.left_behind()]
        self.running: dict[int, TrialProcess] = {}  # by slot
        self.reached = False
        self.last_failure = ""

    def run(self) -> None:
        """Raises: RunError if no trial can succeed; Interrupted on Ctrl-C or SIGTERM, after each saved a checkpoint."""
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while self._fill() or self.running:
                time.sleep(POLL_S)
                for process in list(self.running.values()):
                    self._watch(process)
        except KeyboardInterrupt:
            self._stop_all()
            raise Interrupted(
                f"stopped with {len(self.running)} trials in progress; go on with: the same command with --resume"
            ) from None
        finally:
            for process in self.running.values():
                process.stop(signal.SIGKILL)
            signal.signal(signal.SIGTERM, previous)

    def _fill(self) -> bool:
        """Starts trials in the free slots; False once there is none to start."""
        for slot in set(range(self.jobs)) - set(self.running):
            if not (found := self._next()):
                return False
            number, overrides = found
            say(f"trial {number}   {' '.join(overrides)}")
            log = self.logs / f"{number}.log"
            self.running[slot] = TrialProcess(number, [*self.fixed, *overrides], log, slot=slot, jobs=self.jobs)
        return True

    def _next(self) -> tuple[int, list[str]] | None:
        if self.reached:
            return None
        if self.waiting:
            return self.waiting.pop(0)
        trial = self.trials.ask(self.num_trials)
        return None if trial is None else (trial.number, trial.user_attrs["overrides"])

    def _watch(self, process: TrialProcess) -> None:
        if process.process.poll() is None:
            if self._should_stop(process):
                process.stop(signal.SIGTERM)
                process.process.wait()
                self._tell(process, TrialState.PRUNED, "stopped early: not among the best at this step")
            return
        path = process.record()
        if process.process.returncode or path is None:
            return self._tell(process, TrialState.FAIL, process.last_line().removeprefix("error: "))
        record = read_json(path)
        found = self._frozen(process.number)
        found.set_user_attr("measured", measured(record))
        found.set_user_attr("record", str(path))
        try:
            values = values_of(self.objectives, record)
        except ConfigError as error:
            return self._tell(process, TrialState.FAIL, str(error))
        self._tell(process, TrialState.COMPLETE, None, values)

    def _should_stop(self, process: TrialProcess) -> bool:
        """Tells Optuna of new validations; asks it once for each."""
        if not self.trials.sweep.halving:
            return False
        trial = self._frozen(process.number)
        for step, value in enumerate(process.validations()[process.reported :], start=process.reported + 1):
            process.reported = step
            trial.report(value, step)
            if trial.should_prune():
                return True
        return False

    def _frozen(self, number: int) -> optuna.Trial:
        return optuna.Trial(self.study, self.study.get_trials(deepcopy=False)[number]._trial_id)

    def _tell(
        self, process: TrialProcess, state: TrialState, reason: str | None, values: list[float] | None = None
    ) -> None:
        if reason:
            self._frozen(process.number).set_user_attr("reason", reason)
        self.study.tell(process.number, values, state=state)
        del self.running[process.slot]
        self.saved()
        said = reason or "   ".join(f"{o.name} {v:,.6g}" for o, v in zip(self.objectives, values or [], strict=True))
        say(f"trial {process.number}   {said}")
        if values and self.trials.sweep.target is not None:
            sign = 1 if self.objectives[0].goal == "maximize" else -1
            self.reached |= sign * values[0] >= sign * self.trials.sweep.target
        if state == TrialState.FAIL:
            self.last_failure = said
            self.check_success(HOPELESS)

    def check_success(self, most_failures: int = 1) -> None:
        """Raises: RunError if so many trials have failed and none has ended well."""
        states = [trial.state for trial in self.trials.tried()]
        if states.count(TrialState.FAIL) < most_failures or {TrialState.COMPLETE, TrialState.PRUNED} & set(states):
            return
        which = f"the first {most_failures} trials" if most_failures > 1 else "every trial"
        raise RunError(f"{which} failed; the last said: {self.last_failure or 'see its log'}; logs: {self.logs}")

    def _stop_all(self) -> None:
        """Ctrl-C for every trial: each saves a checkpoint. A second one, or too long a wait, ends them at once."""
        say("stopping: each trial saves a checkpoint")
        try:
            for process in self.running.values():
                process.stop(signal.SIGINT)
            deadline = time.monotonic() + GRACE_S
            while any(p.process.poll() is None for p in self.running.values()) and time.monotonic() < deadline:
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            return
