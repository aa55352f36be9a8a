"Each lab has three exercises or more, and each of them is tried with eight wrong answers of its own or more."
from wrong_answers import counted


def test_each_exercise_is_tried_with_wrong_answers_of_its_own():
    found = {name: own for exercises in counted().values() for name, (own, _) in exercises.items()}
    assert len(found) >= 24 and min(found.values()) >= 8, found
    assert sum(found.values()) >= 190
