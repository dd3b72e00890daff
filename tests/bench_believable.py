"""Do tools made for real photographs believe in the rendered faces? dlib's HOG face detector and its face recogniser.

python tests/bench_believable.py [--people 60] [--photographs 4] [--seed 11]: the share of 288-pixel pictures in which a face is found
(wanted: 95 %), and the verification AUC over all pairs of pictures (wanted: 0.95). Needs the extra `faces`. An image takes
a third of a second.
"""

import argparse

import dlib
import face_recognition_models as models
import numpy as np
from sklearn.metrics import roc_auc_score

from arl import faces

WHERE_FACES_ARE = dlib.rectangle(45, 66, 243, 264)  # for a picture in which the detector finds none


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--photographs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--domain", default="standard", choices=faces.DOMAINS)
    options = parser.parse_args()
    rendered = faces.render(options.people, options.photographs, 288, options.seed, domain=options.domain)
    detector = dlib.get_frontal_face_detector()
    landmarks = dlib.shape_predictor(models.pose_predictor_five_point_model_location())
    network = dlib.face_recognition_model_v1(models.face_recognition_model_location())
    found, embedded = [], []
    for image in rendered.images:
        image = np.ascontiguousarray(image.transpose(1, 2, 0))
        boxes = detector(image, 0)
        found.append(len(boxes) > 0)
        shape = landmarks(image, boxes[0] if boxes else WHERE_FACES_ARE)
        embedded.append(np.array(network.compute_face_descriptor(image, shape)))
    embedded = np.stack(embedded)
    i, j = np.triu_indices(len(embedded), 1)
    same = rendered.identities[i] == rendered.identities[j]
    distance = np.linalg.norm(embedded[i] - embedded[j], axis=1)
    print(f"{len(found)} pictures of {options.people} people, seed {options.seed}, domain {options.domain}")
    print(f"HOG detector: a face in {100 * np.mean(found):.1f} %")
    print(
        f"recogniser: AUC {roc_auc_score(same, -distance):.3f} over {len(same)} pairs, {same.sum()} of them the same person"
    )
    print(f"mean distance: the same person {distance[same].mean():.3f}, others {distance[~same].mean():.3f}")


if __name__ == "__main__":
    main()
