// The sizes that SD 1.5 at 512x512 and SDXL at 1024x1024 meet at batch 1, each once.
import {
  attentionTrial,
  convTrial,
  type Direction,
  type Group,
  type LinearTrial,
  linearTrial,
  lowRankTrial,
  normTrial,
  type Trial,
} from './trial.js';

const BOTH: readonly Direction[] = ['forward', 'backward'];
const RANK = 64;
const TEXT_TOKENS = 77;

/** Tokens, channels and heads of the transformer blocks. */
const BLOCKS = [
  { tokens: 4096, channels: 320, heads: 8 },
  { tokens: 1024, channels: 640, heads: 8 },
  { tokens: 256, channels: 1280, heads: 8 },
  { tokens: 64, channels: 1280, heads: 8 },
  { tokens: 4096, channels: 640, heads: 10 },
  { tokens: 1024, channels: 1280, heads: 20 },
] as const;

/** Width of the text states and channels that keys and values are projected to. */
const CONTEXTS = [
  [768, 320],
  [768, 640],
  [768, 1280],
  [2048, 640],
  [2048, 1280],
] as const;

/** Widths of the text encoders. */
const TEXT_WIDTHS = [768, 1280] as const;

/** Side of the output, then [from, to] of 3x3 windows, of 1x1 ones, and of strided 3x3 ones. */
const CONVOLUTIONS: readonly (readonly [number, readonly Pair[], readonly Pair[], readonly Pair[]])[] = [
  [
    8,
    [
      [1280, 1280],
      [2560, 1280],
    ],
    [[2560, 1280]],
    [[1280, 1280]],
  ],
  [
    16,
    [
      [640, 1280],
      [1280, 1280],
      [1920, 1280],
      [2560, 1280],
    ],
    [
      [640, 1280],
      [1920, 1280],
      [2560, 1280],
    ],
    [[640, 640]],
  ],
  [
    32,
    [
      [320, 640],
      [640, 640],
      [960, 640],
      [1280, 1280],
      [1280, 640],
      [1920, 640],
      [640, 1280],
      [1920, 1280],
      [2560, 1280],
    ],
    [
      [320, 640],
      [960, 640],
      [1280, 640],
      [1920, 640],
      [640, 1280],
      [1920, 1280],
      [2560, 1280],
    ],
    [
      [320, 320],
      [640, 640],
    ],
  ],
  [
    64,
    [
      [4, 320],
      [320, 4],
      [320, 320],
      [640, 640],
      [640, 320],
      [960, 320],
      [320, 640],
      [960, 640],
      [1280, 1280],
      [1280, 640],
      [1920, 640],
    ],
    [
      [640, 320],
      [960, 320],
      [320, 640],
      [1280, 640],
      [1920, 640],
    ],
    [[320, 320]],
  ],
  [
    128,
    [
      [4, 320],
      [320, 4],
      [320, 320],
      [640, 640],
      [640, 320],
      [960, 320],
    ],
    [
      [640, 320],
      [960, 320],
    ],
    [],
  ],
];
type Pair = readonly [number, number];

function gemm(): Trial[] {
  const make = (
    label: string,
    rows: number,
    from: number,
    to: number,
    wanted: readonly LinearTrial['wanted'][],
  ): Trial[] => wanted.map((w) => linearTrial({ label, rows, from, to, wanted: w, trained: label.startsWith('LoRA') }));
  const blocks = BLOCKS.flatMap(({ tokens, channels: c }) => [
    ...make('attention', tokens, c, c, ['y', 'dx']),
    ...make('GEGLU', tokens, c, 8 * c, ['y', 'dx']),
    ...make('feed-forward', tokens, 4 * c, c, ['y', 'dx']),
    ...make('LoRA down', tokens, c, RANK, ['y', 'dx', 'dw']),
    ...make('LoRA up', tokens, RANK, c, ['y', 'dx', 'dw']),
  ]);
  const contexts = CONTEXTS.flatMap(([from, to]) => [
    ...make('context', TEXT_TOKENS, from, to, ['y']),
    ...make('LoRA down', TEXT_TOKENS, from, RANK, ['y', 'dw']),
    ...make('LoRA up', TEXT_TOKENS, RANK, to, ['y', 'dx', 'dw']),
  ]);
  const text = TEXT_WIDTHS.flatMap((c) => [
    ...make('text attention', TEXT_TOKENS, c, c, ['y']),
    ...make('text MLP', TEXT_TOKENS, c, 4 * c, ['y']),
    ...make('text MLP', TEXT_TOKENS, 4 * c, c, ['y']),
  ]);
  const time = [
    ...make('time', 1, 320, 1280, ['y']),
    ...make('time', 1, 1280, 1280, ['y']),
    ...make('time', 1, 2816, 1280, ['y']),
  ];
  return [...new Map([...blocks, ...contexts, ...text, ...time].map((trial) => [trial.name, trial])).values()];
}

function conv(): Trial[] {
  return CONVOLUTIONS.flatMap(([side, plain, pointwise, strided]) => {
    const each = (pairs: readonly Pair[], window: 1 | 3, stride: 1 | 2): Trial[] =>
      pairs.flatMap(([from, to]) =>
        // no gradient reaches the picture itself
        BOTH.filter((direction) => from > 4 || direction === 'forward').map((direction) =>
          convTrial({ side, from, to, window, stride, direction }),
        ),
      );
    return [...each(plain, 3, 1), ...each(pointwise, 1, 1), ...each(strided, 3, 2)];
  });
}

function attention(): Trial[] {
  return BLOCKS.flatMap((block) =>
    [block.tokens, TEXT_TOKENS].flatMap((keys) =>
      BOTH.map((direction) => attentionTrial({ ...block, keys, direction })),
    ),
  );
}

function lowRank(): Trial[] {
  const sizes = [
    ...BLOCKS.map(({ tokens, channels }) => [tokens, channels, channels] as const),
    ...CONTEXTS.map(([from, to]) => [TEXT_TOKENS, from, to] as const),
  ];
  return sizes.flatMap(([tokens, from, to]) =>
    BOTH.map((direction) => lowRankTrial({ tokens, from, to, rank: RANK, active: 48, direction })),
  );
}

function norms(): Trial[] {
  const pictures = [
    [4096, 320],
    [4096, 640],
    [1024, 640],
    [1024, 1280],
    [256, 1280],
    [64, 1280],
    [16384, 320],
  ] as const;
  return [
    ...pictures.map(([rows, channels]) => ({ kind: 'group' as const, rows, channels })),
    ...BLOCKS.map(({ tokens: rows, channels }) => ({ kind: 'layer' as const, rows, channels })),
  ].flatMap((norm) => BOTH.map((direction) => normTrial({ ...norm, direction })));
}

/** All trials of a group. */
export const TRIALS: Readonly<Record<Group, () => Trial[]>> = { gemm, conv, attention, lowRank, norms };
