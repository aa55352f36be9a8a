"Held-out accuracy, as a loop measures it."
from selfloop_nb.sampling import GREEDY, generate_samples


def accuracy(model, task):
    "Greedy accuracy on the held-out problems."
    answers = generate_samples(model, task.heldout.remove_columns("completion"), GREEDY, 4)
    return sum(task.correct(answers.to_list())) / len(answers)
