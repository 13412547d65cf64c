"""Published results on the virtual chip: trainings with the chip in the loop, and what they reached.

`hxtorch reproduce NAME` runs one of `TASKS`; `hxtorch results` writes the page of all results.
"""

from hxtorch.reproduce.results import Result, load_results, results_page
from hxtorch.reproduce.runner import reproduce, train_seed
from hxtorch.reproduce.settings import Settings, Task
from hxtorch.reproduce.tasks import TASKS

__all__ = ["TASKS", "Result", "Settings", "Task", "load_results", "reproduce", "results_page", "train_seed"]
