import { View } from '@tarojs/components'

export default () => <View>hongyan</View>
