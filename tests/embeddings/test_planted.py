"""Structure that is planted in a world and told to nobody is found in the embeddings."""

from benchmarks.planted_embeddings import LEVELS, MODES, PCA, one_world


def test_hidden_clusters_and_betas_are_read_off_the_vectors(alone):
    found = one_world(LEVELS["easy"], ["rlinear"], 0, 2)
    luck = found["random numbers"]
    for mode in MODES[:-1]:  # the last one is told the betas
        retrieval, named, _, beta = found[f"rlinear, {mode}"]
        assert retrieval > luck[0] + 0.1, mode
        assert named > luck[1] + 0.4, mode
        assert beta > 0.3, mode
    assert luck[3] < 0.1
    assert min(found[PCA]) > 0.7
