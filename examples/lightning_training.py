"""The same training with Lightning, which needs `pip install lightning`.

python examples/lightning_training.py
"""

from __future__ import annotations

import lightning
import torch
from torch.utils.data import DataLoader

from tiny_training import Network, patterns


class Classifier(lightning.LightningModule):
    """Wraps a network; everything else is Lightning's."""

    def __init__(self, mock: bool = True) -> None:
        super().__init__()
        self.network = Network(mock)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        """Cross entropy of one batch."""
        spikes, classes = batch
        loss = torch.nn.functional.cross_entropy(self.network(spikes.transpose(0, 1)) / 10, classes)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam on all weights."""
        return torch.optim.Adam(self.parameters(), lr=1.0)


def main(epochs: int = 20) -> float:
    """Train and return the last loss."""
    lightning.seed_everything(0, verbose=False)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(Classifier(), DataLoader(patterns(64), batch_size=16))
    return float(trainer.callback_metrics["loss"])


if __name__ == "__main__":
    print(f"loss {main():.3f}")
