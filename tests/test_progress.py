"""What a person sees while a search runs."""

import io

from rich.console import Console

from nas_ray import Archive, EvolutionarySearch, Objective
from nas_ray.choice import Ordinal
from nas_ray.evolution.screen import Candidate
from nas_ray.record import Batch
from nas_ray.space import SearchSpace
from nas_ray.tune.progress import Progress

SPACE = SearchSpace(name="line", choices={"x": Ordinal(*range(20))})
OBJECTIVES = [Objective("accuracy", "max"), Objective("latency_ms", "min")]


def archive() -> Archive:
    """Six trials: two completed, one stopped, one failed, two running; 30 of 40 feasible."""
    made = Archive(EvolutionarySearch(SPACE, objectives=OBJECTIVES), max_epochs=1)
    candidates = [Candidate(config={"x": x}, costs={"latency_ms": float(x)}) for x in range(6)]
    made.add_batch(Batch(draws=0, costed=40, feasible=30, scored=6), candidates)
    numbers = [made.start_next().number for _ in range(6)]
    for number in numbers[:3]:
        made.report(number, 1, {"accuracy": 0.5 + number / 10})
    made.finish(0, "completed")
    made.finish(1, "completed")
    made.finish(2, "stopped")
    made.finish(3, "failed", "no reason")
    return made


def shown(console: Console) -> str:
    progress = Progress(archive(), trials=10, console=console)
    progress.setup()
    progress.on_step_end(1, [])
    progress.close()
    return console.file.getvalue()


def test_a_log_gets_one_line_with_states_share_front_and_time_left_and_no_control_characters():
    text = shown(Console(file=io.StringIO(), width=40))
    assert text == (
        "2 done, 1 stopped early, 2 running, 1 failed of 10 | feasible: 75% of 40 screened | "
        "front: 2 | left: ?\n"
    )


def test_a_terminal_gets_the_front_so_far_as_a_table():
    text = shown(Console(file=io.StringIO(), width=120, force_terminal=True))
    assert "2 done, 1 stopped early, 2 running, 1 failed of 10" in text
    assert "front so far" in text
    rows = [line for line in text.splitlines() if "│" in line]
    assert any("0.5" in row and "0" in row for row in rows)
    assert any("0.6" in row and "1" in row for row in rows)


def test_the_time_left_is_that_of_the_trials_ended_here_and_not_guessed_from_the_first():
    made = archive()
    progress = Progress(made, trials=10, console=Console(file=io.StringIO()))
    assert "left: ?" in progress.line()  # nothing has ended since it began
    made.finish(4, "failed", "no reason")
    assert "left: ?" in progress.line()  # too few to guess
    for number in range(6, 9):
        made.search.tell_failed({"x": number})
    more = [Candidate(config={"x": x}, costs={"latency_ms": float(x)}) for x in range(9, 12)]
    made.add_batch(Batch(draws=1, costed=3, feasible=3, scored=3), more)
    for _ in more:
        made.finish(made.start_next().number, "failed", "no reason")
    assert "left: 0 min 00 s" in progress.line()
