"""Points as people read them."""

from orchestrator.spec.points import point_text, training_text


def test_a_point_is_written_by_the_last_parts_of_its_paths_or_in_full_where_two_end_alike():
    point = {"training.learning_rate": 1e-4, "training.epochs": 8, "model.personalization": None}
    assert point_text(point) == "learning rate 0.0001, epochs 8, personalization none"
    assert training_text(point) == "learning rate 0.0001"
    alike = {"model.hidden": 64, "model.personalization.hidden": 32}
    assert point_text(alike) == "model.hidden 64, model.personalization.hidden 32"
    assert point_text({}) == ""
