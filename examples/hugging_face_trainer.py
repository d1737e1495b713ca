"""The controller as a callback of the Hugging Face Trainer, reading images as sentences.

    python examples/hugging_face_trainer.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own.
"""

import sys
import tempfile

import torch
from sklearn.datasets import load_digits
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from hpo_env import Controller
from hpo_env.integrations.transformers import HPOControlCallback

x, y = load_digits(return_X_y=True)  # 64 pixels of 17 grey levels: sentences of 64 words
rows = [{"input_ids": torch.tensor(a).long(), "labels": int(b)} for a, b in zip(x, y, strict=True)]
config = BertConfig(
    vocab_size=17,
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=64,
    num_labels=10,
)
validation = {
    "input_ids": torch.tensor(x[1500:]).long(),
    "labels": torch.tensor(y[1500:]),
}

controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
callback = HPOControlCallback(controller, validate=lambda model: model(**validation).loss.item())
trainer = Trainer(
    model=BertForSequenceClassification(config),
    args=TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        max_steps=60,
        per_device_train_batch_size=32,
        learning_rate=1e-4,
        lr_scheduler_type="cosine",
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    ),
    train_dataset=rows[:1500],
    callbacks=[callback],
)
trainer.train()
print(callback.run.explain(interval=10))
