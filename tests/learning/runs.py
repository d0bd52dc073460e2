"""One training by the common loop, as the tests run it."""

from finembed_core.learning.loop import LoopOptions, reproducible, train_network


def run(network, train, valid, loss, options: LoopOptions, **changes):
    """Epochs, and how it ended; batches are drawn by one seed, whatever the network's."""
    epochs = []
    with reproducible(0):
        own = LoopOptions(**(vars(options) | changes))
        ended = train_network(network, train, valid, loss, own, epochs.append)
    return epochs, ended
