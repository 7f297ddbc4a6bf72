"""What a training returns is a dict that a session shows in a line, and a notebook as a card."""

from aitimestepper.training.summary import TrainingSummary


def test_a_training_is_a_dict_in_a_few_words():
    metrics = {"part1/acceptance_rate": 0.75, "part2/final_pass_rate": 1.0}
    done = TrainingSummary(
        epochs_completed=3, total_time=1.5, convergence_rate=1.0, final_metrics=metrics, card={}, results=[{}] * 1000
    )
    assert isinstance(done, dict)
    assert done["final_metrics"] is metrics
    assert repr(done).startswith("TrainingSummary: 3 epochs in 1.5 s; keys epochs_completed, ")
    assert len(repr(done)) < 200
    assert "0.75" in done._repr_html_()
    assert "in 100% of the epochs" in done._repr_html_()
