"""Training a backbone: `Trainer`, and the options that it takes. The command ``facerec train`` is this class."""

from facerec.losses.choice import LossOptions
from facerec.training.options import Network, Run, Schedule, TrainingData
from facerec.training.trainer import Trainer

__all__ = ["LossOptions", "Network", "Run", "Schedule", "Trainer", "TrainingData"]
