"""Small valid inputs of every reader, and how each is read, for `fuzz`. Files with "kept" in their name stay whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fuzz_embeddings
import fuzz_stores
import numpy as np
from fuzz_basics import Reader, picture, rows
from fuzz_stores import make_faces


def make_knn(folder: Path) -> None:
    from clustering.graph.knn_graph import KnnGraph

    KnnGraph.build(rows()[0], 3).save(folder)


def read_knn(folder: Path) -> None:
    from clustering.graph.knn_graph import KnnGraph

    KnnGraph.load(folder, rows()[0])


def make_levels(folder: Path) -> None:
    from clustering import HiLander
    from clustering.graph.knn_graph import KnnGraph

    HiLander.from_pretrained().cluster(KnnGraph.build(rows()[0], 5)).save(folder)


def read_levels(folder: Path) -> None:
    from clustering.hierarchy import Hierarchy

    hierarchy = Hierarchy.load(folder)
    hierarchy.table()
    hierarchy.trace(0)
    hierarchy.cut(0)


def make_decisions(folder: Path) -> None:
    from clustering.review.decisions import labels_hash

    actions = [
        {"action": "keep", "cluster": 0},
        {"action": "split", "cluster": 1, "parts": [[4], [5]]},
        {"action": "exclude_faces", "cluster": 2, "faces": [8]},
        {"action": "apart", "clusters": [0, 1]},
    ]
    content = {"clustering": labels_hash(rows()[1]), "decisions": actions}
    (folder / "decisions.json").write_text(json.dumps(content, indent=1))


def read_decisions(folder: Path) -> None:
    from clustering.review.decision_files import load_decisions
    from clustering.review.decisions import apply_decisions

    apply_decisions(rows()[1], load_decisions(folder / "decisions.json", rows()[1]))


def make_report(folder: Path) -> None:
    from eval.commands.ijb import ijb

    make_protocol(folder / "protocol")
    np.save(folder / "embeddings.npy", rows()[0][:9])
    ijb(folder / "protocol", folder / "embeddings.npy", folder / "report")
    shutil.rmtree(folder / "protocol")
    (folder / "embeddings.npy").unlink()
    for picture_file in (folder / "report").glob("*.png"):
        picture_file.unlink()


def read_report(folder: Path) -> None:
    _compare(folder / "report")


def _compare(folder: Path) -> None:
    from eval.comparison.page import page
    from eval.comparison.page_plots import curve_plots
    from eval.comparison.runs import load_runs
    from eval.comparison.table import tabulate
    from eval.comparison.table_files import write_tables

    out = folder.with_name("compared")
    out.mkdir(exist_ok=True)
    table = tabulate(load_runs([folder]))
    write_tables(table, out)
    page(table, curve_plots(table.runs, out), out, None, None, "title")
    shutil.rmtree(out)


def make_scores(folder: Path) -> None:
    from eval.commands.clusters import clusters

    make_report(folder)
    np.save(folder / "kept.npy", rows()[1])
    (folder / "report").rename(folder / "ijb")
    clusters(folder / "kept.npy", folder / "kept.npy", folder / "clusters.json")
    clusters(folder / "kept.npy", folder / "kept.npy", folder / "pseudo.json")


def read_scores(folder: Path) -> None:
    _compare(folder)


def make_notes(folder: Path) -> None:
    from facerec.commands.split import split

    make_faces(folder / "faces")
    for file in folder.rglob("*.png"):
        file.rename(file.with_name(f"kept{file.name}"))
    split(folder / "faces", folder / "out", 1)
    for file in [path for path in (folder / "out").rglob("*") if path.is_file() and path.name != "meta.json"]:
        file.rename(file.with_name(f"kept{file.name}"))


def read_notes(folder: Path) -> None:
    from facerec.commands.split import split

    split(folder / "faces", folder / "out", 1)


def make_protocol(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    templates = (70, 70, 9, 12, 5, 40, 2, 55, 33)
    header = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n"
    texts = {
        "face_tid_mid.txt": "".join(f"{row}.png {template} {row}\n" for row, template in enumerate(templates)),
        "template_pair_label.txt": "70 40 1\n9 2 1\n12 55 1\n5 33 1\n70 2 0\n9 40 0\n12 33 0\n5 55 0\n",
        "1N_gallery_G1.csv": header + "70,1,x\n9,2,x\n",
        "1N_gallery_G2.csv": header + "12,3,x\n5,4,x\n",
        "1N_probe_mixed.csv": header + "40,1,x\n2,2,x\n55,3,x\n33,4,x\n",
    }
    for name, text in texts.items():
        (folder / f"tiny_{name}").write_text(text)


def read_protocol(folder: Path) -> None:
    from eval.protocols.evaluation import evaluate
    from eval.protocols.face_templates import pool_protocol
    from eval.protocols.open import load_protocol

    protocol = load_protocol(folder)
    file = folder.with_name("embeddings.npy")
    np.save(file, rows()[0][:9])
    evaluate(protocol, pool_protocol(protocol, file, "removed", None), [0.01, 0.1])


def make_pairs(folder: Path) -> None:
    pairs = [(f"{number % 4}.png", f"{(number + 1) % 5}.png", number % 2) for number in range(20)]
    (folder / "pairs.tsv").write_text("".join(f"{one}\t{two}\t{same}\n" for one, two, same in pairs))
    lines = "".join(f"ann\t{n}\t{n + 1}\n" * 2 + f"ann\t{n}\tbob\t{n}\n" * 2 for n in range(1, 4))
    (folder / "pairs.txt").write_text(f"3\t2\n{lines}")
    (folder / "two.txt").write_text("".join(f"{one} {same}\n{two} {same}\n" for one, two, same in pairs))
    (folder / "cfp" / "Split" / "FP" / "01").mkdir(parents=True)
    for name in ("F", "P"):
        (folder / "cfp" / f"Pair_list_{name}.txt").write_text("".join(f"{n} ../{n:03d}/{n}.jpg\n" for n in range(1, 9)))
    for name, step in (("same", 0), ("diff", 1)):
        lines = "".join(f"{n},{n + step}\n" for n in range(1, 7))
        (folder / "cfp" / "Split" / "FP" / "01" / f"{name}.txt").write_text(lines * 3)


def read_pairs(folder: Path) -> None:
    from eval.protocols.pair_list import load_pair_list

    load_pair_list(folder)
    for name in ("pairs.txt", "two.txt", "cfp/Split/FP"):
        load_pair_list(folder / name)


def make_face_tables(folder: Path) -> None:
    keys = [f"{number}.png" for number in range(9)]
    (folder / "sessions.csv").write_text("key,session\n" + "".join(f"{key},a\n" for key in keys))
    (folder / "quality.csv").write_text("crop,score\n" + "".join(f"{key},0.5\n" for key in keys))
    points = " ".join(map(str, range(10)))
    (folder / "landmarks.txt").write_text("".join(f"{key} {points} 0.9\n" for key in keys))
    header = "TEMPLATE_ID,FILENAME,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT\n"
    (folder / "boxes.csv").write_text(header + "".join(f"1,{key},2,3,40,50\n" for key in keys))


def read_face_tables(folder: Path) -> None:
    from eval.all_pairs.columns import read_numbers, read_sessions
    from facerec.alignment.known_faces import read_boxes, read_landmarks
    from facerec.pipeline.embeddings import EmbeddingSet

    labels = np.arange(9) // 3
    faces = EmbeddingSet(rows()[0][:9], [f"{number}.png" for number in range(9)], labels, folder)
    read_sessions(folder / "sessions.csv", faces, labels)
    read_numbers(folder / "quality.csv", faces, labels, ("score",))
    read_landmarks(folder / "landmarks.txt")
    read_boxes(folder / "boxes.csv")


def make_onnx(folder: Path) -> None:
    from facerec.backbones import build
    from facerec.recognisers.onnx import write_onnx

    write_onnx(build("mobilefacenet", 8, 32, 0.125).eval(), 32, folder / "model.onnx")


def read_onnx(folder: Path) -> None:
    from facerec.recognisers.recogniser import Recogniser

    Recogniser.from_pretrained(folder / "model.onnx", "cpu").embed([picture(0)])


def make_exported(folder: Path) -> None:
    from facerec.recognisers.onnx_weights import note_network

    make_onnx(folder)
    note_network(
        folder / "model.onnx", {"backbone": "mobilefacenet", "width": 0.125, "input_size": 32, "embedding_size": 8}
    )


def read_exported(folder: Path) -> None:
    from facerec.recognisers.onnx_weights import load_exported

    load_exported(folder / "model.onnx")


def make_model(folder: Path) -> None:
    from facerec.backbones import build
    from facerec.recognisers.model_folder import save_model

    config = {"backbone": "mobilefacenet", "width": 0.125, "input_size": 32, "embedding_size": 8}
    save_model(folder, build("mobilefacenet", 8, 32, 0.125), config)


def read_model(folder: Path) -> None:
    from facerec.recognisers.recogniser import Recogniser

    Recogniser.from_pretrained(folder, "cpu").embed([picture(0)])


def make_clusterer(folder: Path) -> None:
    from clustering import HiLander

    HiLander.from_pretrained().save_pretrained(folder)


def read_clusterer(folder: Path) -> None:
    from clustering import HiLander

    HiLander.from_pretrained(folder).fit(rows()[0])


def make_settings(folder: Path) -> None:
    from clustering import Dbscan

    Dbscan().save_pretrained(folder)


def read_settings(folder: Path) -> None:
    from clustering import Dbscan

    Dbscan.from_pretrained(folder).fit(rows()[0])


def make_reference(folder: Path) -> None:
    import torch

    names = {"weight": (4, 4), "bias": (4,)}
    torch.save({name: torch.ones(shape) for name, shape in names.items()}, folder / "weights.pth")


def read_reference(folder: Path) -> None:
    from clustering.backends.hilander.reference_weights import read_state

    read_state(folder / "weights.pth")


def _training() -> tuple[object, object]:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    return model, optimizer


def make_state(folder: Path) -> None:
    from facerec.training.state import save_states

    save_states(folder / "state.safetensors", *_training(), {"step": 3, "losses": [0.5]}, False)  # type: ignore[arg-type]


def read_state(folder: Path) -> None:
    from facerec.training.state import load_states

    load_states(folder / "state.safetensors", *_training(), False)  # type: ignore[arg-type]


READERS = {
    **fuzz_embeddings.READERS,
    **fuzz_stores.READERS,
    "knn": Reader(make_knn, read_knn),
    "levels": Reader(make_levels, read_levels),
    "decisions": Reader(make_decisions, read_decisions),
    "report": Reader(make_report, read_report),
    "scores": Reader(make_scores, read_scores),
    "meta": Reader(make_notes, read_notes),
    "exported": Reader(make_exported, read_exported),
    "protocol": Reader(make_protocol, read_protocol),
    "pairs": Reader(make_pairs, read_pairs),
    "face tables": Reader(make_face_tables, read_face_tables),
    "onnx": Reader(make_onnx, read_onnx),
    "model": Reader(make_model, read_model),
    "clusterer": Reader(make_clusterer, read_clusterer),
    "settings": Reader(make_settings, read_settings),
    "reference": Reader(make_reference, read_reference),
    "state": Reader(make_state, read_state),
}
