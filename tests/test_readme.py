"""The README's picture of the graph is the graph."""

from everturn.graph.agent import graph
from tests.service import ROOT


def test_the_picture_is_the_graph() -> None:
    readme = (ROOT / "README.md").read_text()
    picture = readme.partition("<!-- graph:")[2].partition("<!-- /graph -->")[0]
    drawn = graph.get_graph().draw_mermaid(with_styles=False)
    assert drawn.strip() in picture, f"put this into README.md:\n{drawn}"
