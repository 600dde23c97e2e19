import { type AdapterLayout, adapterLayout } from '../adapters/adapterLayout.js';
import { type AdapterSpec, adaptedLayers, isOrthogonal, type LinearShape } from '../adapters/adapterSpec.js';
import type { Component } from '../io/modelFolder.js';
import { readUnetConfig } from '../models/unetConfig.js';
import { unetAdaptedLinears } from '../models/wholeModel.js';

/** Adapters for all attention projections of a UNet. */
export interface AdapterSetup {
  readonly layout: AdapterLayout;
  /** Sentences for the user about layers that are narrower than the rank. */
  readonly notices: readonly string[];
}

/** The linear layers of a UNet that T-LoRA adapts, in network order. */
export function adaptedLinearShapes(unet: Component): LinearShape[] {
  return unetAdaptedLinears(unet.tensors, readUnetConfig(unet.config)).map((path) => {
    const [out, width] = unet.tensors.get(`${path}.weight`)!.shape as [number, number];
    return { path, in: width, out };
  });
}

/** Lays out the adapters of a UNet. */
export function setupAdapters(unet: Component, { variant, rank }: Pick<AdapterSpec, 'variant' | 'rank'>): AdapterSetup {
  const { layers, notices } = adaptedLayers(adaptedLinearShapes(unet), rank);
  return { layout: adapterLayout(layers, isOrthogonal(variant)), notices };
}
